r"""One-hot variables, with a density that is defined off the simplex's vertices too.

:math:`\log q(z) = \langle z, \log \pi \rangle` is linear in :math:`z`, so that it has a value and
a derivative inside the simplex too, where relaxations and straight-through estimators evaluate it.
torch's takes an argmax of the value, whose gradient is zero.
"""

from __future__ import annotations

import math

import torch
from torch import Size, Tensor
from torch.distributions import (
    Categorical,
    Distribution,
)
from torch.distributions import OneHotCategorical as TorchOneHotCategorical
from torch.distributions.kl import register_kl
from torch.distributions.utils import lazy_property
from torch.types import _size

from vae.distributions.special import log_softmax, one_hot

__all__ = ["OneHotCategorical", "gumbel_like"]


def gumbel_like(logits: Tensor, shape: _size) -> Tensor:
    r"""Draws :math:`-\log(-\log U)`, finite in every dtype.

    The noise is drawn in float32 or wider, whatever autocast does. Where U would be exactly zero,
    half of the smallest positive U takes its place. On a CPU, drawing a uniform U costs a sixth of
    ``exponential_``; in float32 it is a multiple of :math:`2^{-24}`, so that the probabilities of
    what is drawn are right to :math:`2^{-24}`.
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    if not logits.is_cpu:
        noise = torch.empty(shape, dtype=dtype, device=logits.device).exponential_()
        return -noise.clamp_min(torch.finfo(dtype).tiny).log()
    step = torch.finfo(dtype).eps / 2  # of uniform numbers
    uniform = torch.rand(shape, dtype=dtype, device=logits.device).clamp_min(step / 2)
    return -(-uniform.log()).log()


class _Categorical(Categorical):
    """Categories of given logits, normalised once.

    torch's own subtracts a logsumexp, which rounds large logits, and has a softmax of what is left
    for the probabilities: over few categories each takes twenty times as long as an exponential.
    """

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = self._param = log_softmax(logits)
        self._num_events = logits.shape[-1]
        Distribution.__init__(self, logits.shape[:-1], validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> Categorical:
        return super().expand(batch_shape, self._get_checked_instance(_Categorical, _instance))

    @lazy_property
    def probs(self) -> Tensor:
        return self.logits.exp()


class OneHotCategorical(TorchOneHotCategorical):
    r"""Creates a categorical distribution over the vertices of the simplex.

    .. math:: \log q(z) = \sum_c z_c \log \pi_c

    Arguments:
        probs: The event probabilities :math:`\pi`, with shape :math:`(*, K)`; normalised for you.
        logits: The unnormalised log-probabilities, with shape :math:`(*, K)`.
    """

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        # torch's own validates the inner Categorical whatever it is told
        self._categorical = (
            Categorical(probs, logits, validate_args=validate_args)
            if logits is None or probs is not None
            else _Categorical(logits, validate_args)
        )
        shape = self._categorical.param_shape
        Distribution.__init__(self, shape[:-1], shape[-1:], validate_args=validate_args)

    def expand(
        self, batch_shape: _size, _instance: Distribution | None = None
    ) -> OneHotCategorical:
        new = self._get_checked_instance(OneHotCategorical, _instance)
        return super().expand(batch_shape, _instance=new)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        # argmax of Gumbel-perturbed logits: torch.multinomial cannot be captured in a CUDA graph.
        with torch.no_grad():
            shape = self._extended_shape(Size(sample_shape))
            index = (self.logits + gumbel_like(self.logits, shape)).argmax(-1)
            return one_hot(index, self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # an impossible category, of logit -inf, must not make 0 * inf of the others, nor an
        # infinite derivative in the value
        least = torch.finfo(self.logits.dtype).min
        absent = (self.logits < least / 2**16) & (value == 0)
        return (value.masked_fill(absent, 0) * self.logits.clamp_min(least)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _kl_one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    # 0 log 0 = 0; infinite where q has no mass and p has. A logit of -inf stays out of the
    # products, whose gradients it would make NaN in every category.
    least = torch.finfo(p.logits.dtype).min
    probs, none = p.probs, torch.zeros_like(p.logits)
    ratio = torch.where(probs == 0, none, p.logits - q.logits.clamp_min(least))
    # less its mean, since in the gradient of a large one nothing would be left of the others
    mean = (probs * ratio).sum(-1, keepdim=True).detach()
    term = probs * (ratio - mean)
    # A zero given as a probability is clamped in the logits; one that underflowed is not.
    declared = (q.probs == 0) & (q.logits.exp() > torch.finfo(q.logits.dtype).tiny)
    masked, possible = q.logits == -math.inf, probs != 0
    term = term + torch.where((declared | masked) & possible, math.inf, none)
    # for the gradient in q's logits, which the clamp stops at such a one
    change = torch.where(masked & possible, q.logits, none)
    return mean.squeeze(-1) + (term - probs.detach() * change).sum(-1)
