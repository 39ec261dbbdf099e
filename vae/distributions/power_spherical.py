r"""The power spherical distribution of directions: unit vectors in d dimensions.

.. math:: q(z) \propto (1 + \mu^\top z)^\kappa, \qquad
    \tfrac{1 + \mu^\top z}{2} \sim \mathrm{Beta}(\alpha, \beta), \quad
    \alpha = \tfrac{d - 1}{2} + \kappa, \; \beta = \tfrac{d - 1}{2}

It looks like a von Mises-Fisher distribution, without Bessel functions and without rejection: its
normaliser, its entropy and its divergence from the uniform distribution are closed forms, and a
sample is reparameterized. Its component along :math:`\mu` comes of a Gamma variable g and of a
Gaussian vector w in d - 1 dimensions, :math:`h = |w|^2 / 2`, and a reflection (Householder's) takes
the first axis to :math:`\mu`:

.. math:: y = \frac{(g - h,\; \sqrt{2 g}\, w)}{g + h}, \quad g \sim \mathrm{Gamma}(\alpha, 1), \qquad z = H_\mu y

The density is with respect to the area of the sphere.

References:
    | The Power Spherical distribution (De Cao & Aziz, 2020; https://arxiv.org/abs/2006.04437).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Transform, constraints, transform_to
from torch.distributions.kl import register_kl
from torch.types import _size

from vae.distributions.special import stirling_remainder, stirling_remainder_slope

__all__ = ["HypersphericalUniform", "PowerSpherical", "Sphere", "sphere"]


class Sphere(constraints.Constraint):
    """Unit vectors, in the last dimension."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value.square().sum(-1) - 1).abs() < 1e-4


sphere = Sphere()


class Direction(Transform):
    """Any vector to its direction. It has no inverse: a direction stands for itself."""

    domain = constraints.real_vector
    codomain = sphere
    bijective = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Direction)

    def _call(self, x: Tensor) -> Tensor:
        return x / x.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)

    def _inverse(self, y: Tensor) -> Tensor:
        return y


@transform_to.register(Sphere)
def _(constraint: Any) -> Transform:
    return Direction()


class PowerSpherical(Distribution):
    """Creates a power spherical distribution, of events ``(d,)``, d at least 2.

    Arguments:
        loc: The mean direction, unit vectors ``(*, d)``: of others the direction counts.
        concentration: How much it is preferred, 0 or more, ``(*)``.
    """

    arg_constraints = {"loc": sphere, "concentration": constraints.greater_than_eq(0)}
    support = sphere
    has_rsample = True

    def __init__(
        self, loc: Tensor, concentration: Tensor, validate_args: bool | None = None
    ) -> None:
        batch = torch.broadcast_shapes(loc.shape[:-1], concentration.shape)
        loc = loc / loc.norm(dim=-1, keepdim=True)  # its derivative is along the sphere
        self.loc, self.concentration = (
            loc.expand(*batch, loc.shape[-1]),
            concentration.expand(batch),
        )
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> PowerSpherical:
        new = self._get_checked_instance(PowerSpherical, _instance)
        new.loc = self.loc.expand(*batch_shape, *self.event_shape)
        new.concentration = self.concentration.expand(batch_shape)
        super(PowerSpherical, new).__init__(
            Size(batch_shape), self.event_shape, validate_args=False
        )
        new._validate_args = self._validate_args
        return new

    @property
    def _shapes(self) -> tuple[Tensor, float]:
        """alpha and beta."""
        beta = (self.event_shape[0] - 1) / 2
        return self.concentration + beta, beta

    @property
    def mean(self) -> Tensor:
        alpha, beta = self._shapes
        return self.loc * (self.concentration / (alpha + beta)).unsqueeze(-1)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Of each coordinate."""
        alpha, beta = self._shapes
        total = alpha + beta
        # of the component along loc, 2 Beta - 1, and of each one across it
        along = 4 * alpha * beta / (total.square() * (total + 1))
        across = 2 * alpha / (total * (total + 1))
        squared = self.loc.square()
        return squared * along.unsqueeze(-1) + (1 - squared) * across.unsqueeze(-1)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        shape = self._extended_shape(Size(sample_shape))
        alpha, _ = self._shapes
        g = torch._standard_gamma(alpha.expand(shape[:-1]).contiguous()).unsqueeze(-1)
        w = torch.randn(shape[:-1] + (shape[-1] - 1,), dtype=g.dtype, device=g.device)
        h = w.square().sum(-1, keepdim=True) / 2
        y = torch.cat([g - h, (2 * g).sqrt() * w], -1) / (g + h)
        return self._reflect(y)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def _reflect(self, y: Tensor) -> Tensor:
        """y by a reflection that takes the first axis to loc.

        It takes the end of the axis to loc that is farther from it, after y was turned to that end:
        so the mirror is never ill-defined.
        """
        first = self.loc[..., :1]
        side = torch.where(first > 0, -torch.ones_like(first), torch.ones_like(first))
        y = torch.cat([side * y[..., :1], y[..., 1:]], -1)
        axis = torch.cat([side - first, -self.loc[..., 1:]], -1)
        along = (axis * y).sum(-1, keepdim=True) / (1 - side * first)  # |axis|^2 is twice that
        return y - axis * along

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # (1 + loc . value) / 2, from the far side and from the near side
        far = (self.loc + value).square().sum(-1) / 4
        near = (self.loc - value).square().sum(-1) / 4
        close = near < 0.5
        tiny = torch.finfo(value.dtype).tiny
        log_half = torch.where(
            close,
            torch.log1p(-torch.where(close, near, torch.zeros_like(near))),
            torch.where(close, torch.ones_like(far), far.clamp_min(tiny)).log(),
        )
        return self.concentration * log_half - self._log_normalizer()

    def _log_normalizer(self) -> Tensor:
        """The log of the integral of ((1 + loc . z) / 2)^concentration over the sphere."""
        alpha, beta = self._shapes
        total = alpha + beta
        # log-gamma(alpha) - log-gamma(alpha + beta), by Stirling's formula and what it lacks
        difference = -(alpha - 0.5) * torch.log1p(beta / alpha) - beta * total.log() + beta
        difference = difference + stirling_remainder(alpha) - stirling_remainder(total)
        return difference + 2 * beta * math.log(2) + beta * math.log(math.pi)

    def entropy(self) -> Tensor:
        alpha, beta = self._shapes
        total = alpha + beta
        # digamma(alpha) - digamma(alpha + beta)
        slope = -torch.log1p(beta / alpha) - beta / (2 * alpha * total)
        slope = slope + stirling_remainder_slope(alpha) - stirling_remainder_slope(total)
        return self._log_normalizer() - self.concentration * slope


class HypersphericalUniform(Distribution):
    """Creates the uniform distribution of unit vectors ``(d,)``, d at least 2.

    Arguments:
        loc: Any vectors ``(*, d)``, of which shape, dtype and device count.
    """

    arg_constraints = {"loc": constraints.real_vector}
    support = sphere
    has_rsample = True

    def __init__(self, loc: Tensor, validate_args: bool | None = None) -> None:
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    def expand(
        self, batch_shape: _size, _instance: Distribution | None = None
    ) -> HypersphericalUniform:
        new = self._get_checked_instance(HypersphericalUniform, _instance)
        new.loc = self.loc.expand(*batch_shape, *self.event_shape)
        super(HypersphericalUniform, new).__init__(
            Size(batch_shape), self.event_shape, validate_args=False
        )
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        return torch.zeros_like(self.loc)

    @property
    def variance(self) -> Tensor:
        return torch.full_like(self.loc, 1 / self.event_shape[0])

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        shape = self._extended_shape(Size(sample_shape))
        w = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return w / w.norm(dim=-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return 0 * (value + self.loc).sum(-1) - self.entropy()  # with a derivative, of 0

    def entropy(self) -> Tensor:
        half = self.event_shape[0] / 2
        area = math.log(2) + half * math.log(math.pi) - math.lgamma(half)
        return torch.full_like(self.loc[..., 0], area)


@register_kl(PowerSpherical, HypersphericalUniform)
def _kl_uniform(p: PowerSpherical, q: HypersphericalUniform) -> Tensor:
    return q.entropy() - p.entropy()
