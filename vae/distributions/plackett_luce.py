r"""The first k items of a Plackett-Luce ranking, as a set.

Items are drawn without replacement, each with a probability in proportion to :math:`w_i = e^{l_i}`;
the set S of the first k forgets their order. The k largest of the logits with Gumbel noise are such
a draw. Its probability is a sum over k! orders, or over the :math:`2^k` subsets T of S that may have
come first,

.. math:: A(T) = \sum_{i \in T} A(T \setminus i) \, \frac{w_i}{w(D \setminus (T \setminus i))},
    \qquad A(\emptyset) = 1, \quad q(S) = A(S),

where D are all items and w of a set is the sum of its weights. The weight of the items that are left
is a sum over them, not a difference: nothing cancels.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.kl import register_kl
from torch.types import _size

from vae.distributions.one_hot import gumbel_like
from vae.distributions.operations import configurations, describe, differentiable, support
from vae.distributions.subsets import Subset, tables, top

__all__ = ["MAX_ITEMS", "PlackettLuceSubset"]


MAX_ITEMS = 10
"""The largest k: a log-probability takes a sum over 2^k subsets."""

MAX_TERMS = 2**15
"""The most terms, :math:`k 2^{k - 1}` of each subset, that the KL, the entropy and the mean sum over."""


class PlackettLuceSubset(Subset):
    """Creates the distribution of the set of the first k items that are drawn without replacement.

    Off the subsets, ``log_prob`` is that of the k largest entries: it has no derivative in z.

    References:
        | Stochastic Beams and Where to Find Them: The Gumbel-Top-k Trick for Sampling Sequences
        | Without Replacement (Kool et al., 2019), section 3 (https://arxiv.org/abs/1903.06059).
        | Estimating Gradients for Discrete Random Variables by Sampling without Replacement (Kool,
        | van Hoof & Welling, 2020), appendix B (https://arxiv.org/abs/2002.06043).
        | Reparameterizable Subset Sampling via Continuous Relaxations (Xie & Ermon, 2019)
        | (https://arxiv.org/abs/1901.10517).

    Arguments:
        k: How many items are drawn, from 1 to n, at most 10.
        logits: The logarithms of the items' weights, with shape ``(*, n)``.

    Raises:
        ValueError: If k is too small or too large.
    """

    def __init__(self, k: int, logits: Tensor, validate_args: bool | None = None) -> None:
        if k > MAX_ITEMS:
            raise ValueError(
                f"a Plackett-Luce subset's log-probability sums over 2^k subsets: k must be at most"
                f" {MAX_ITEMS}, got {k}; a conditional Bernoulli takes any k"
            )
        super().__init__(k, logits, validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = torch.broadcast_tensors(self.logits, value)
        items = value.topk(self.k, -1).indices
        inside = logits.gather(-1, items).movedim(-1, 0)  # (k, *)
        out = torch.finfo(logits.dtype).min / 8
        rest = logits.scatter(-1, items, out).logsumexp(-1)
        return _log_first(inside, rest)

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:
        shape = self._extended_shape(Size(sample_shape))
        return top(self.logits + gumbel_like(self.logits, shape), self.k)

    @property
    def mean(self) -> Tensor:
        values, log_probs = self._all()
        return (log_probs.exp().unsqueeze(-1) * values).sum(0)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean)

    def entropy(self) -> Tensor:
        _, log_probs = self._all()
        return -(log_probs.exp() * log_probs).sum(0)

    def _all(self) -> tuple[Tensor, Tensor]:
        """Every subset and its log-probability.

        Raises:
            NotImplementedError: If there are too many.
        """
        terms = configurations(self) * self.k * 2 ** (self.k - 1)
        if terms > MAX_TERMS:
            raise NotImplementedError(
                f"{describe(self)} of {self.k} of {self.n} items has no closed form but a sum of"
                f" {terms:,} terms, more than {MAX_TERMS:,}: estimate it from samples (of the ELBO,"
                " analytic_kl: false)"
            )
        values = support(self)
        return values, self.log_prob(values)


@differentiable.register
def _(q: PlackettLuceSubset) -> bool:
    return False


def _log_first(inside: Tensor, rest: Tensor) -> Tensor:
    """log A(S) of the log-weights of S, ``(k, *)``, and that of all other items together, ``(*)``."""
    k = len(inside)
    found = iter(tables(_levels, k, device=inside.device))
    levels = [_Level(*(next(found) for _ in _Level._fields)) for _ in range(k)]
    left = [rest[None]]  # log w(D \ T), from T = S down to the empty set
    for level in reversed(levels):
        left.append(torch.logaddexp(left[-1][level.larger], inside[level.added]))
    log_first = torch.zeros_like(left[-1])  # (1, *)
    for level, log_left in zip(levels, reversed(left[1:]), strict=True):
        log_first = ((log_first - log_left)[level.without] + inside[level.members]).logsumexp(1)
    return log_first[0]


class _Level(NamedTuple):
    """Numbers of subsets of j of k items, and of j + 1 of them, in the order of a dictionary.

    Attributes:
        added: The first item that is not in a subset of j, ``(J,)``.
        larger: The number of the subset with it, ``(J,)``.
        members: The items of each subset of j + 1, ``(J', j + 1)``.
        without: The numbers of the subsets of j that lack each of them, ``(J', j + 1)``.
    """

    added: Tensor
    larger: Tensor
    members: Tensor
    without: Tensor


def _levels(k: int) -> list[list[Any]]:
    """The tables of all levels, one after the other."""
    found: list[list[Any]] = []
    for j in range(k):
        few, more = (list(combinations(range(k), size)) for size in (j, j + 1))
        number, larger = ({T: i for i, T in enumerate(sets)} for sets in (few, more))
        added = [next(i for i in range(k) if i not in T) for T in few]
        found += [
            added,
            [larger[tuple(sorted((*T, i)))] for T, i in zip(few, added, strict=True)],
            [list(T) for T in more],
            [[number[T[:m] + T[m + 1 :]] for m in range(j + 1)] for T in more],
        ]
    return found


@register_kl(PlackettLuceSubset, Subset)
def _kl_plackett_luce(p: PlackettLuceSubset, q: Distribution) -> Tensor:
    values, log_probs = p._all()
    return (log_probs.exp() * (log_probs - q.log_prob(values))).sum(0)
