r"""Hamiltonian Monte Carlo for continuous latents, in coordinates without borders.

Latents z of a support with borders (positive numbers, an interval, a simplex) are moved as
:math:`z = T(u)`, u any number, with :math:`\log p(u) = \log p(T(u)) + \log |\det \partial T / \partial u|`.
An angle moves on the whole line, where its density is periodic.

References:
    | MCMC using Hamiltonian dynamics (Neal, 2011), section 3.2 (https://arxiv.org/abs/1206.1901).
"""

from __future__ import annotations

import copy
from functools import singledispatch
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, VonMises, biject_to, constraints
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import Transform

from vae.distributions.operations import base_of, describe
from vae.distributions.power_spherical import Sphere
from vae.evaluation.transitions import Density, Transition, support_of

__all__ = ["HMC", "continuous_transition", "coordinates", "spread"]


class HMC(Transition):
    r"""Leapfrog steps along the gradient, with a Metropolis correction.

    Each coordinate moves at its own scale. Between the start and the target, both taken for Gaussian,
    precisions are mixed: :math:`s_\beta^{-2} = (1 - \beta) s_0^{-2} + \beta s_1^{-2}`.

    Arguments:
        leapfrog: Leapfrog steps a transition, each with one gradient.
        jitter: Each chain's step is multiplied by a uniform number between 1 - jitter and
            1 + jitter, so that no orbit closes.
    """

    adapts: ClassVar[bool] = True
    target: ClassVar[float] = 0.8
    temperatures: ClassVar[int] = 200
    states: ClassVar[int] = 1600

    def __init__(self, leapfrog: int = 5, jitter: float = 0.2) -> None:
        if leapfrog < 1 or not 0 <= jitter < 1:
            raise ValueError(
                f"leapfrog must be at least 1 and jitter in [0, 1), got {leapfrog} and {jitter}"
            )
        self.leapfrog, self.jitter = leapfrog, jitter
        self.transform: Transform = biject_to(constraints.real)
        self.precisions: tuple[Tensor, Tensor] | None = None
        self.scale: Tensor | float = 1.0

    def of(self, start: Distribution, q: Distribution) -> HMC:
        fitted = copy.copy(self)
        fitted.transform = coordinates(start)
        ends = [spread(d, fitted.transform) for d in (start, q)]
        fitted.precisions = (ends[0] ** -2, ends[1] ** -2)
        return fitted.at(0.0)

    def at(self, beta: float) -> HMC:
        if self.precisions is None:
            return self
        heated, (first, last) = copy.copy(self), self.precisions
        heated.scale = ((1 - beta) * first + beta * last) ** -0.5
        return heated

    def state(self, z: Tensor) -> Tensor:
        return self.transform.inv(z)

    def latent(self, u: Tensor) -> Tensor:
        return self.transform(u)

    def log_volume(self, u: Tensor) -> Tensor:
        volume = self.transform.log_abs_det_jacobian(u, self.transform(u))
        return volume.reshape(*u.shape[:2], -1).sum(-1)

    @torch.no_grad()
    def step(self, z: Tensor, log_density: Density, width: Tensor) -> tuple[Tensor, Tensor]:
        scalars = [1] * (z.dim() - 2)
        own = 1 + self.jitter * (2 * torch.rand(z.shape[:2], dtype=z.dtype, device=z.device) - 1)
        epsilon = self.scale * (width * own).reshape(*z.shape[:2], *scalars)  # (chains, B, *event)
        before, force = log_density.gradient(z)
        momentum = torch.randn_like(z)  # of unit mass, in units of the scale
        start = before - kinetic(momentum)
        proposal = z
        momentum = momentum + epsilon / 2 * force
        for i in range(self.leapfrog):
            proposal = proposal + epsilon * momentum
            after, force = log_density.gradient(proposal)
            last = i == self.leapfrog - 1
            momentum = momentum + (epsilon / 2 if last else epsilon) * force
        log_ratio = after - kinetic(momentum) - start
        # else the orbit has left the support, or what numbers can hold
        log_ratio = log_ratio.where(after.isfinite() & ~log_ratio.isnan(), -torch.inf)
        acceptance = log_ratio.clamp(max=0).exp()
        accepted = torch.rand_like(acceptance) < acceptance
        return log_density.choose(accepted, proposal, z), acceptance


@singledispatch
def continuous_transition(support: Constraint) -> HMC:
    """The transition for continuous latents, dispatched on the class of their support."""
    return HMC()


@continuous_transition.register(Sphere)
def _(support: Sphere) -> HMC:
    from vae.evaluation.geodesics import GeodesicHMC

    return GeodesicHMC()


def kinetic(momentum: Tensor) -> Tensor:
    """Half the squared length, ``(chains, B)``."""
    return momentum.flatten(2).square().sum(-1) / 2


def coordinates(q: Distribution) -> Transform:
    """The map T from any numbers u to the support of q, :math:`z = T(u)`.

    Raises:
        NotImplementedError: If torch has none for the support.
    """
    support = support_of(q)
    try:
        return biject_to(constraints.real if support is None else support)
    except NotImplementedError:
        raise NotImplementedError(
            f"no way is known from the real numbers to the support {support} of {describe(q)}:"
            " register one with torch.distributions.biject_to"
        ) from None


def spread(q: Distribution, transform: Transform, num_samples: int = 200) -> Tensor:
    """The standard deviations of the coordinates u of q, ``(*batch, *event)``, above 0."""
    return _spread(base_of(q), q, transform, num_samples).clamp_min(1e-6)


@singledispatch
def _spread(base: Distribution, q: Distribution, transform: Transform, num_samples: int) -> Tensor:
    return transform.inv(q.sample(Size([num_samples]))).std(0)


@_spread.register
def _(base: VonMises, q: Distribution, transform: Transform, num_samples: int) -> Tensor:
    return (
        base.concentration + 3 / torch.pi**2
    ) ** -0.5  # of a uniform angle, and of a narrow one
