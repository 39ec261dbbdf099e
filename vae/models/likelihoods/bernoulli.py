"""Bernoulli pixels: of binary images, and the cross-entropy of grey ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import distributions as D
from torch.nn.functional import softplus

from vae.distributions.bernoulli import Bernoulli as BernoulliDistribution
from vae.distributions.bernoulli import bernoulli_log_prob
from vae.distributions.log_prob import LogProb, derivatives
from vae.models.likelihoods.base import Likelihood

__all__ = ["Bernoulli"]


def _bernoulli_slope(logits: Tensor, value: Tensor) -> Tensor:
    """``value - sigmoid(logits)``, without the cancellation of 1 - 1."""
    return torch.addcmul(value * (-logits).sigmoid(), value - 1, logits.sigmoid())


class _BernoulliLogProb(LogProb):
    """``value * logits - softplus(logits)``, where an infinite logit counts as the largest number."""

    @staticmethod
    def forward(logits: Tensor, value: Tensor) -> Tensor:
        limits = torch.finfo(logits.dtype)
        logits = logits.clamp(limits.min, limits.max)
        if not logits.is_cpu:
            return torch.addcmul(softplus(logits, beta=-1), value - 1, logits)
        # On a CPU, softplus's log1p takes ten times as long as log, a sixth of a training step.
        # softplus(l) = l / 2 + |l| / 2 - log sigmoid(|l|), the last in [-log 2, 0]
        size = logits.abs()
        log_sigmoid = size.sigmoid().log_()
        return torch.addcmul(log_sigmoid, value - 0.5, logits).sub_(size, alpha=0.5)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[override]
        return derivatives(ctx, grad, _bernoulli_slope)


def _fits(value: Tensor, into: Tensor, dims: int) -> bool:
    """Whether the value broadcasts to a tensor whose dtype and last dimensions it has.

    ``torch.broadcast_shapes`` would import sympy, which takes a second.
    """
    same = value.dtype == into.dtype and value.shape[-dims:] == into.shape[-dims:]
    sizes = zip(reversed(value.shape), reversed(into.shape), strict=False)
    return same and value.dim() <= into.dim() and all(a in (1, b) for a, b in sizes)


class _BernoulliPixels(BernoulliDistribution):
    """A Bernoulli distribution with a faster log-probability."""

    def log_prob(self, value: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # fuses the plain formula itself
            return bernoulli_log_prob(self.logits, value)
        return _BernoulliLogProb.apply(self.logits, value)  # type: ignore[no-any-return, no-untyped-call]

    def summed_log_prob(self, value: Tensor, dims: int) -> Tensor | None:
        """The sum over the last dimensions; None where it is no faster than its terms.

        Without a gradient on a CPU, most logarithms are spared: log a + log b = log ab.
        """
        plain = torch.is_grad_enabled() or torch.compiler.is_compiling()
        if plain or not dims or not self.logits.is_cpu or not _fits(value, self.logits, dims):
            return None
        limits = torch.finfo(self.logits.dtype)
        logits = self.logits.clamp(limits.min, limits.max).flatten(-dims)  # (*, P)
        # softplus(l) - x l = (max(l, 0) - x l) - log sigmoid(|l|), without a difference of sums
        missed = logits.clamp_min(0).addcmul_(value.flatten(-dims), logits, value=-1).sum(-1)
        factors = (
            logits.abs_().sigmoid_()
        )  # in [1/2, 1], so that products of 64 are no less than 2^-64
        for _ in range(6):
            half, odd = divmod(factors.shape[-1], 2)
            if odd:
                break
            factors = factors[..., :half] * factors[..., half:]
        return factors.log_().sum(-1) - missed


class Bernoulli(Likelihood):
    """Creates independent Bernoulli pixels, by their logits."""

    binary = True

    def pixels(self, parameters: Tensor) -> D.Distribution:
        return _BernoulliPixels(logits=parameters[0], validate_args=False)
