r"""Independent binary variables, given that exactly k of them are ones.

.. math:: q(z) = \frac{e^{\langle z, l \rangle}}{e_k(e^l)}, \qquad
    e_k(w) = \sum_{|S| = k} \prod_{i \in S} w_i

The normaliser is the elementary symmetric polynomial of degree k. Of the first m items it is

.. math:: e_j(w_{1..m}) = \sum_{i \le m} w_i \, e_{j-1}(w_{1..i-1}):

of all m at once a cumulative sum, so that k of these give :math:`e_k`. All terms are positive, and
all is done with their logarithms: nothing cancels. The same sums are the distribution function of
the last item of a subset, by which one is drawn, and sums from the left and from the right together
give the marginals :math:`q(z_i = 1)`.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions.kl import register_kl
from torch.distributions.utils import lazy_property
from torch.nn.functional import pad
from torch.types import _size

from vae.distributions.subsets import Subset

__all__ = ["ConditionalBernoulli"]


class ConditionalBernoulli(Subset):
    r"""Creates the distribution of n Bernoulli variables given that exactly k are ones.

    Its log-probability is linear in z, and so has a value and a derivative off the subsets too.

    References:
        | Weighted finite population sampling to maximize entropy (Chen, Dempster & Liu, 1994)
        | (https://doi.org/10.1093/biomet/81.3.457).
        | SIMPLE: A Gradient Estimator for k-Subset Sampling (Ahmed et al., 2023), sections 3 and 4
        | (https://arxiv.org/abs/2210.01941).

    Arguments:
        k: How many are ones, from 1 to n.
        logits: The logits l of the variables before that is given, with shape ``(*, n)``.
    """

    @lazy_property
    def _sums(self) -> list[Tensor]:
        return _log_elementary(self.logits, self.k)

    @lazy_property
    def log_normalizer(self) -> Tensor:
        r""":math:`\log e_k(e^l)`, with the batch shape; its derivatives are the marginals."""
        return self._sums[-1][..., -1]

    @lazy_property
    def probs(self) -> Tensor:
        """The marginals q(z_i = 1), ``(*, n)``; their sum is k."""
        n, k, out = self.n, self.k, torch.finfo(self.logits.dtype).min / 8
        last = [pad(sums, (j, 0), value=out) for j, sums in enumerate(self._sums[:k])]
        left = torch.stack(last)[..., :n]  # (k, *, n): of the items before i
        sums = _log_elementary(self.logits.flip(-1), k - 1)
        last = [pad(s, (j, 0), value=out) for j, s in enumerate(sums)]
        right = torch.stack(last)[..., :n].flip(0, -1)  # of those after it, k - 1 less j
        others = (left + right).logsumexp(0)
        log_probs = self.logits + others - self.log_normalizer[..., None]
        return log_probs.clamp_max(0).exp()

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return (value * self.logits).sum(-1) - self.log_normalizer

    def entropy(self) -> Tensor:
        return self.log_normalizer - (self.probs * self.logits).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:
        # the last item by its distribution function, given it the last one before it, and so on
        shape = self._extended_shape(Size(sample_shape))
        z = torch.zeros(shape, dtype=self.logits.dtype, device=self.logits.device)
        before = torch.full((*shape[:-1], 1), self.n, device=z.device)  # items not yet passed
        for j in range(self.k, 0, -1):
            sums = self._sums[j].expand(*shape[:-1], -1)  # of the first j items, j + 1, ..., n
            total = sums.gather(-1, before - j)
            drawn = total + self._uniform(Size(sample_shape)).log()[..., None]
            item = (sums < drawn).sum(-1, keepdim=True) + j - 1
            before = torch.minimum(item, before - 1)  # it may round to more
            z = z.scatter(-1, before, 1.0)
        return z


def _log_elementary(logits: Tensor, k: int) -> list[Tensor]:
    """The logarithms of the elementary symmetric polynomials of degrees 0 to k.

    That of degree j is given of the first j items, the first j + 1, ..., all n: ``(*, n - j + 1)``.
    """
    shape = (*logits.shape[:-1], logits.shape[-1] + 1)
    sums = [torch.zeros(shape, dtype=logits.dtype, device=logits.device)]
    for j in range(1, k + 1):
        sums.append((logits[..., j - 1 :] + sums[-1][..., :-1]).logcumsumexp(-1))
    return sums


@register_kl(ConditionalBernoulli, ConditionalBernoulli)
def _kl_conditional_bernoulli(p: ConditionalBernoulli, q: ConditionalBernoulli) -> Tensor:
    if p.k != q.k:
        raise ValueError(f"subsets of {p.k} and of {q.k} items have nothing in common")
    ratio = p.logits - q.logits
    return (p.probs * ratio).sum(-1) - p.log_normalizer + q.log_normalizer
