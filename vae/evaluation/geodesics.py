r"""Hamiltonian Monte Carlo on spheres: chains of unit vectors move along great circles.

A momentum is a tangent vector v, the force is the gradient's tangent part, and where nothing pulls,
the motion is known exactly,

.. math:: z(t) = z \cos |v| t + \tfrac{v}{|v|} \sin |v| t, \qquad v(t) = v \cos |v| t - z |v| \sin |v| t

so that chains stay on the sphere, and no coordinates are needed, which would have a pole.

References:
    | Geodesic Monte Carlo on Embedded Manifolds (Byrne & Girolami, 2013), section 4.1
    | (https://arxiv.org/abs/1301.6064).
"""

from __future__ import annotations

import copy

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.evaluation.hmc import HMC, kinetic
from vae.evaluation.transitions import Density

__all__ = ["GeodesicHMC"]


class GeodesicHMC(HMC):
    """Leapfrog steps on spheres, of states ``(chains, B, *variables, d)``.

    Each vector moves at its own scale. Arguments as for
    :class:`~vae.evaluation.hmc.HMC`.
    """

    def of(self, start: Distribution, q: Distribution) -> GeodesicHMC:
        fitted = copy.copy(self)
        fitted.precisions = tuple(_spread(d) ** -2 for d in (start, q))  # type: ignore[assignment]
        return fitted.at(0.0)  # type: ignore[return-value]

    def log_volume(self, u: Tensor) -> Tensor:
        return u.new_zeros(u.shape[:2])

    @torch.no_grad()
    def step(self, z: Tensor, log_density: Density, width: Tensor) -> tuple[Tensor, Tensor]:
        scalars = [1] * (z.dim() - 2)
        own = 1 + self.jitter * (2 * torch.rand(z.shape[:2], dtype=z.dtype, device=z.device) - 1)
        epsilon = self.scale * (width * own).reshape(*z.shape[:2], *scalars)
        before, force = log_density.gradient(z)
        momentum = tangent(torch.randn_like(z), z)
        start = before - kinetic(momentum)
        proposal = z
        momentum = momentum + epsilon / 2 * tangent(force, z)
        for i in range(self.leapfrog):
            proposal, momentum = along_great_circle(proposal, momentum, epsilon)
            after, force = log_density.gradient(proposal)
            last = i == self.leapfrog - 1
            kick = (epsilon / 2 if last else epsilon) * tangent(force, proposal)
            momentum = momentum + kick
        log_ratio = after - kinetic(momentum) - start
        log_ratio = log_ratio.where(after.isfinite() & ~log_ratio.isnan(), -torch.inf)
        acceptance = log_ratio.clamp(max=0).exp()
        accepted = torch.rand_like(acceptance) < acceptance
        return log_density.choose(accepted, proposal, z), acceptance


def tangent(vector: Tensor, z: Tensor) -> Tensor:
    """What of a vector is tangent to the sphere at z."""
    return vector - (vector * z).sum(-1, keepdim=True) * z


def along_great_circle(z: Tensor, v: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Where z is after a time, moving with velocity v, and its velocity there."""
    speed = v.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
    cosine, sine = (speed * time).cos(), (speed * time).sin()
    there = z * cosine + v / speed * sine
    there = there / there.norm(dim=-1, keepdim=True)  # but for rounding it is
    return there, tangent(v * cosine - z * speed * sine, there)


def _spread(q: Distribution, num_samples: int = 200) -> Tensor:
    """The standard deviation of a coordinate across the mean direction, ``(*batch, *variables, 1)``."""
    z = q.sample(Size([num_samples]))
    mean = z.mean(0)
    direction = mean / mean.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    across = z - (z * direction).sum(-1, keepdim=True) * direction
    return (
        (across.square().sum(-1, keepdim=True).mean(0) / (z.shape[-1] - 1)).sqrt().clamp_min(1e-6)
    )
