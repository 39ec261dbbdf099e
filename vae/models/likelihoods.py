r"""Likelihoods: from a decoder's output to a distribution :math:`p(x|z)` over images.

Every ``log_prob`` is normalised, in nats, and summed over pixels. A Bernoulli likelihood is one of
binary images only (``binary``): on grey pixels its "log-probability" is a negative cross-entropy
and no bound on anything.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributions as D
from torch.nn.functional import softplus

from vae.distributions.bernoulli import Bernoulli as BernoulliDistribution
from vae.distributions.bernoulli import bernoulli_log_prob
from vae.distributions.continuous_bernoulli import (
    ContinuousBernoulli as ContinuousBernoulliDistribution,
)
from vae.distributions.log_prob import LogProb, derivatives
from vae.distributions.normal import Normal
from vae.distributions.special import sigmoid
from vae.models.networks import widen
from vae.recorded import Recorded

__all__ = [
    "Bernoulli",
    "ContinuousBernoulli",
    "Gaussian",
    "Likelihood",
    "assert_defined",
]


class _Image(D.Independent):
    """Independent pixels, whose family may have a faster way to the sum of their log-densities."""

    def log_prob(self, value: Tensor) -> Tensor:
        summed = getattr(self.base_dist, "summed_log_prob", None)
        found = None if summed is None else summed(value, self.reinterpreted_batch_ndims)
        return super().log_prob(value) if found is None else found


class Likelihood(nn.Module, metaclass=Recorded):
    """Maps what the decoder reads, ``(*, D)``, to p(x|z), with batch shape ``(*)``.

    A likelihood of one's own sets ``channels`` and ``binary``, and needs :meth:`pixels`.

    Attributes:
        channels: How many parameters the likelihood needs for each pixel.
        binary: Whether it is a distribution over binary images.

    Arguments:
        decoder: A module ``(*, D)`` to ``(*, channels, *image)``.

    Example:
        >>> from torch.distributions import Laplace
        >>> from vae import MLPDecoder
        >>> class LaplacePixels(Likelihood):
        ...     channels = 2
        ...
        ...     def pixels(self, parameters):
        ...         loc, log_scale = parameters  # each (*, *image)
        ...         return Laplace(loc, log_scale.exp())
        >>> likelihood = LaplacePixels(MLPDecoder(20, (1, 28, 28), channels=2))
        >>> p = likelihood(torch.randn(5, 20))
        >>> p.batch_shape, p.event_shape
        (torch.Size([5]), torch.Size([1, 28, 28]))
    """

    channels: int = 1
    binary: bool = False

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, code: Tensor) -> D.Distribution:
        parameters = widen(self.decoder(code))  # (*, channels, *image)
        base = self.pixels(parameters.movedim(code.dim() - 1, 0))
        return _Image(base, parameters.dim() - code.dim(), validate_args=False)

    @abstractmethod
    def pixels(self, parameters: Tensor) -> D.Distribution:
        """The distribution of each pixel, with batch shape ``(*, *image)``.

        Arguments:
            parameters: What the decoder returns, as ``(channels, *, *image)``.
        """


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


class ContinuousBernoulli(Likelihood):
    """Creates independent continuous Bernoulli pixels on [0, 1], for grey images.

    Their density is the cross-entropy, normalised.

    References:
        | The continuous Bernoulli (Loaiza-Ganem & Cunningham, 2019)
        | (https://arxiv.org/abs/1907.06845).
    """

    def pixels(self, parameters: Tensor) -> D.Distribution:
        return ContinuousBernoulliDistribution(parameters[0], validate_args=False)


class Gaussian(Likelihood):
    """Creates independent Gaussian pixels with one learned scale for all.

    Arguments:
        scale: The initial standard deviation, in units of the pixel range [0, 1].

    Raises:
        ValueError: If the scale is not positive.
    """

    def __init__(self, decoder: nn.Module, scale: float = 0.1) -> None:
        super().__init__(decoder)
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be positive and finite, got {scale}")
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def pixels(self, parameters: Tensor) -> D.Distribution:
        return Normal(sigmoid(parameters[0]), self.log_scale.exp(), validate_args=False)


def assert_defined(likelihood: Likelihood, binary: bool, binarization: str | None) -> None:
    """Refuses a density on binary pixels, where the bound would grow without limit.

    A continuous Bernoulli's density at 0 and 1 grows with its logits, and that of a Gaussian, whose
    scale is learned, as the scale shrinks. A Bernoulli on grey pixels is allowed: it gives a
    cross-entropy.

    Arguments:
        likelihood: The likelihood.
        binary: Whether every pixel is 0 or 1.
        binarization: How the data say that they are binarised; None if they do not.

    Raises:
        ValueError: If the likelihood is a density and the pixels are binary.
    """
    if likelihood.binary or not binary:
        return
    seen = (
        "as in the first training batch"
        if binarization is None
        else f"binarization {binarization}"
    )
    remedy = "serve grey ones" if binarization is None else "set --data.binarization none"
    raise ValueError(
        f"likelihood {type(likelihood).__name__} is a density, unbounded on binary pixels ({seen}):"
        f" {remedy}, or --model.likelihood bernoulli"
    )
