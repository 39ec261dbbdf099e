r"""The logistic-normal distribution: a Gaussian vector pushed through a softmax.

.. math:: z = \mathrm{softmax}(V u), \qquad u \sim \mathcal{N}(\mu, \mathrm{diag}\,\sigma^2)

of C categories, with C - 1 numbers u. The columns of V are an orthonormal basis of the vectors that
sum to zero (isometric log-ratios), so that of standard u all categories are alike: z is the softmax
of C standard Gaussian numbers. The density is on the simplex, with respect to the Lebesgue measure
of C - 1 of its coordinates, as a Dirichlet's is, and is normalised there:

.. math:: \log q(z) = \log \mathcal{N}(u; \mu, \sigma) - \sum_c \log z_c - \tfrac12 \log C,
    \qquad u = V^\top \log z

Divergences do not change under a map that can be inverted: that of two is that of the Gaussians.

References:
    | Logistic-Normal Distributions: Some Properties and Uses (Aitchison & Shen, 1980)
    | (https://doi.org/10.1093/biomet/67.2.261).
    | Isometric Logratio Transformations for Compositional Data Analysis (Egozcue et al., 2003)
    | (https://doi.org/10.1023/A:1023818214614).
"""

from __future__ import annotations

import math

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints, kl_divergence
from torch.distributions.kl import register_kl
from torch.distributions.utils import broadcast_all
from torch.types import _size

from vae.distributions.normal import Normal

__all__ = ["LogisticNormal", "centred_logits", "log_ratios"]


def _steps(coordinates: int, like: Tensor) -> Tensor:
    """1, ..., C - 1."""
    return torch.arange(1, coordinates + 1, dtype=like.dtype, device=like.device)


def centred_logits(u: Tensor) -> Tensor:
    """V u: coordinates ``(*, C - 1)`` to logits ``(*, C)`` that sum to zero."""
    j = _steps(u.shape[-1], u)
    own = u * (j * (j + 1)).rsqrt()
    none = torch.zeros_like(own[..., :1])
    after = own.flip(-1).cumsum(-1).flip(-1)
    return torch.cat([after, none], -1) - torch.cat([none, j * own], -1)


def log_ratios(logits: Tensor) -> Tensor:
    """The coordinates ``(*, C - 1)`` of logits ``(*, C)``, whatever they sum to."""
    j = _steps(logits.shape[-1] - 1, logits)
    means = logits[..., :-1].cumsum(-1) / j
    return (means - logits[..., 1:]) * (j / (j + 1)).sqrt()


def _inside(z: Tensor) -> Tensor:
    """z, at least 3e-29 in single precision: 1 / z, times a slope of log q, is a number still."""
    return z.clamp_min(torch.finfo(z.dtype).tiny ** 0.75)


class LogisticNormal(Distribution):
    """Creates a logistic-normal distribution, of events ``(C,)`` on the simplex.

    Arguments:
        loc: The means of the coordinates u, ``(*, C - 1)``.
        scale: Their standard deviations, ``(*, C - 1)``.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support = constraints.simplex
    has_rsample = True

    def __init__(
        self, loc: Tensor, scale: Tensor | float, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        *batch, coordinates = self.loc.shape
        super().__init__(Size(batch), Size([coordinates + 1]), validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> LogisticNormal:
        new = self._get_checked_instance(LogisticNormal, _instance)
        shape = Size([*batch_shape, self.loc.shape[-1]])
        new.loc, new.scale = self.loc.expand(shape), self.scale.expand(shape)
        super(LogisticNormal, new).__init__(
            Size(batch_shape), self.event_shape, validate_args=False
        )
        new._validate_args = self._validate_args
        return new

    @property
    def coordinates(self) -> Normal:
        """The distributions of u, with batch shape ``(*, C - 1)``."""
        return Normal(self.loc, self.scale, validate_args=False)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        return _inside(centred_logits(self.coordinates.rsample(Size(sample_shape))).softmax(-1))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        log_z = _inside(value).log()
        density = self.coordinates.log_prob(log_ratios(log_z)).sum(-1)
        return density - log_z.sum(-1) - math.log(value.shape[-1]) / 2


@register_kl(LogisticNormal, LogisticNormal)
def _kl_logistic_normal(p: LogisticNormal, q: LogisticNormal) -> Tensor:
    return kl_divergence(p.coordinates, q.coordinates).sum(-1)
