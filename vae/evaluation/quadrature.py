r""":math:`\log p(x)` itself, by quadrature over one or two continuous latent variables.

.. math:: \log p(x) = \log \int p(x|z(u))\, p(z(u)) \left|\tfrac{dz}{du}\right| du

u is z without its constraint: the logarithm of a positive number, the logit of one in (0, 1), an angle
as it is. There the integrand is smooth and falls off on all sides (or is periodic), and the
trapezoidal rule converges exponentially once its steps are narrower than the posterior. The grid is
decoded once for all images, and refined until nothing changes: of each halving only the new nodes are
decoded, in two dimensions those at the centres of its squares first.
It is as wide as the prior and every posterior, and widened where the integrand has not fallen off.

References:
    | The Exponentially Convergent Trapezoidal Rule (Trefethen & Weideman, 2014), section 5
    | (https://doi.org/10.1137/130932132).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import singledispatch
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import (
    Distribution,
    Independent,
    Transform,
    VonMises,
    biject_to,
    constraints,
)
from torch.distributions.transforms import identity_transform

from vae.devices import asynchronous, double
from vae.distributions.operations import describe
from vae.distributions.power_spherical import HypersphericalUniform, PowerSpherical, sphere
from vae.evaluation.pairwise import log_probs
from vae.models.log_likelihood import CHUNKS
from vae.models.vae import VAE
from vae.seeds import fixed_noise

__all__ = [
    "Domain",
    "Quadrature",
    "domain",
    "domain_of",
    "expected_nodes",
    "quadrature_log_likelihood",
]


MOST_NODES = 2**23
"""By default. In two dimensions that is 2900 to a side: a posterior 1/300 as wide as the prior."""

REACH = {"prior": 6.0, "posterior": 8.0}
"""How many standard deviations from its mean the grid goes, at first."""

STEP = 1.3
"""The grid's first step, in standard deviations of the narrowest posterior: the error of the
trapezoidal rule for a Gaussian is 2 exp(-2 pi^2 / STEP^2), 2e-5."""


class Domain(NamedTuple):
    """Where a distribution lives.

    Attributes:
        transform: From unconstrained numbers u, flat in their last dimension, to z.
        period: Of u, or None.
    """

    transform: Transform
    period: float | None = None


class Quadrature(NamedTuple):
    """What a quadrature gives.

    Attributes:
        log_likelihood: log p(x) in nats, (B,).
        change: By how much the last nodes, as many as all before, changed it, (B,).
        nodes: How many latents were decoded.
    """

    log_likelihood: Tensor
    change: Tensor
    nodes: int


@singledispatch
def domain(p: Distribution) -> Domain:
    """Where ``p`` lives, by its ``support``.

    Raises:
        NotImplementedError: If it is discrete, or does not say.
    """
    return Domain(biject_to(p.support))


@domain.register
def _(p: VonMises) -> Domain:
    return Domain(identity_transform, 2 * math.pi)


@domain.register(PowerSpherical)
@domain.register(HypersphericalUniform)
def _(p: Distribution) -> Domain:
    (size,) = p.event_shape
    if size > 2:
        raise _NoGrid(f"z is a point of a sphere in {size} dimensions: quadrature is for a circle")
    return Domain(OnCircle(), 2 * math.pi)


class _NoGrid(NotImplementedError):
    """Of a density that could be integrated, but not here."""


class OnCircle(Transform):
    """An angle ``(*, 1)`` to the unit vector ``(*, 2)`` there."""

    domain = constraints.real_vector
    codomain = sphere
    bijective = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OnCircle)

    def _call(self, x: Tensor) -> Tensor:
        return torch.cat([x.cos(), x.sin()], -1)

    def _inverse(self, y: Tensor) -> Tensor:
        return torch.atan2(y[..., 1:], y[..., :1])

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(x[..., 0])

    def forward_shape(self, shape: Size) -> Size:
        return Size([*shape[:-1], 2])

    def inverse_shape(self, shape: Size) -> Size:
        return Size([*shape[:-1], 1])


@domain.register
def _(p: Independent) -> Domain:
    found = domain(p.base_dist)
    return found if found.period else Domain(biject_to(p.support))


def domain_of(vae: VAE, x: Tensor) -> tuple[Domain, Size]:
    """Where the latents live, and the shape of u.

    Raises:
        NotImplementedError: If they are not one or two continuous numbers.
    """
    prior = vae.prior()
    try:
        found = domain(prior)
    except NotImplementedError:
        prior = vae.posterior(x[:1])
        try:
            found = domain(prior)
        except _NoGrid:
            raise
        except NotImplementedError:
            raise NotImplementedError(f"{describe(prior)} has no density to integrate") from None
    shape = Size(found.transform.inverse_shape(prior.event_shape))
    if not 1 <= shape.numel() <= 2:
        raise NotImplementedError(
            f"z has {shape.numel()} dimensions: quadrature is for one or two"
        )
    return found, shape


@torch.no_grad()
def quadrature_log_likelihood(
    vae: VAE,
    x: Tensor,
    tolerance: float = 1e-4,
    most: int = MOST_NODES,
    chunk: int | None = None,
) -> Quadrature:
    """log p(x) of images ``(B, *image)`` by the trapezoidal rule.

    Arguments:
        vae: The model.
        x: Images ``(B, *image)``.
        tolerance: The grid is refined until that changes no image's log p(x) by more nats.
        most: The most nodes: with them it ends, whatever the last change.
        chunk: Nodes that are decoded together; by default what suits the device.

    Raises:
        NotImplementedError: If the latents are not one or two continuous numbers.
    """
    vae = vae.hard
    (transform, period), shape = domain_of(vae, x)
    chunk = CHUNKS[asynchronous(x.device)] if chunk is None else chunk
    low, high, step = _box(vae, x, transform, shape, period)
    integrand = _Integrand(vae, x, transform, shape, chunk)
    decoded = 0
    while True:
        sides = ((high - low) / step).ceil().long().clamp_min(8)
        if (
            excess := sides.prod().item() * 2 ** len(sides) / most
        ) > 1:  # for one halving at least
            sides = (sides / excess ** (1 / len(sides))).long().clamp_min(2)
        step = (high - low) / sides
        edges, total = integrand.edges(low, step, sides, period)
        decoded += int(sides.prod())
        open_ends = (edges - total > math.log(tolerance / 100)).any(-1)  # (2, D)
        if not bool(open_ends.any()) or decoded * 4 > most:
            break
        width = (high - low) / 2
        low, high = low - width * open_ends[0], high + width * open_ends[1]
    value, change = total + step.log().sum(), torch.full_like(total, torch.inf)
    for shifts, parts in _refinements(len(sides)):
        size = int(sides.prod())
        if not bool((change > tolerance).any()) or decoded + size * len(shifts) > most:
            break
        for shift in shifts:
            total = torch.logaddexp(total, integrand.sum(low + step * shift.to(low), step, sides))
        decoded += size * len(shifts)
        finer = total + step.log().sum() - math.log(parts)
        value, change = finer, (finer - value).abs()
        if parts == 2 ** len(sides):
            step, sides = step / 2, sides * 2
    return Quadrature(value.to(x), change.to(x), decoded)


def _refinements(dimensions: int) -> Iterator[tuple[list[Tensor], int]]:
    """How a grid is halved, again and again, in steps that double the nodes.

    Each is the places of the new nodes, in steps of the grid, and the number of nodes for each of
    the grid's own that there are with them.
    """
    if dimensions == 1:
        return itertools.repeat(([torch.tensor([0.5])], 2))
    centres, sides = [[0.5, 0.5]], [[0.0, 0.5], [0.5, 0.0]]
    return itertools.cycle([([*map(torch.tensor, centres)], 2), ([*map(torch.tensor, sides)], 4)])


def expected_nodes(vae: VAE, x: Tensor, most: int = MOST_NODES) -> int:
    """About how many nodes it will take, if the posteriors are as narrow as q(z|x)."""
    vae = vae.hard
    (transform, period), shape = domain_of(vae, x)
    low, high, step = _box(vae, x, transform, shape, period)
    return min(most, int((2 * (high - low) / step).ceil().prod()))


@torch.no_grad()
def _box(
    vae: VAE, x: Tensor, transform: Transform, shape: Size, period: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The ends of the grid and its first step, (D,) each, by samples of the prior and of every q."""
    with fixed_noise(x.device, 0):
        q = _unconstrained(vae.posterior(x).sample(Size([100])), transform, shape)  # (100, B, D)
        p = _unconstrained(vae.prior().sample(Size([1000])), transform, shape)  # (1000, D)
    if period:
        q = q - (q - q[:1] + period / 2).div(period, rounding_mode="floor") * period
    widths = q.std(0)
    step = STEP * widths.amin(0).clamp_min(1e-6)
    if period:
        low = torch.full_like(step, -period / 2)
        return low, low + period, step.clamp_max(period / 8)
    far = REACH["posterior"] * widths
    wide = REACH["prior"] * p.std(0)
    low = torch.minimum((q.mean(0) - far).amin(0), p.mean(0) - wide)
    high = torch.maximum((q.mean(0) + far).amax(0), p.mean(0) + wide)
    return low, high, step


def _unconstrained(z: Tensor, transform: Transform, shape: Size) -> Tensor:
    """u of latents, float64, flat: ``(*, D)``. Samples at the very edge are moved inside."""
    u = transform.inv(double(z)).flatten(z.dim() - len(transform.forward_shape(shape)))
    return u.nan_to_num(0.0, 700.0, -700.0)


class _Integrand:
    """p(x|z) p(z) |dz/du| of all images, on grids."""

    def __init__(self, vae: VAE, x: Tensor, transform: Transform, shape: Size, chunk: int) -> None:
        self.vae, self.x, self.prior = vae, x, vae.prior()
        self.transform, self.shape, self.chunk = transform, shape, chunk

    def blocks(self, low: Tensor, step: Tensor, sides: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Blocks of nodes, by their indices (S, D), and the logarithm of the integrand, (S, B)."""
        size = int(sides.prod())
        for first in range(0, size, self.chunk):
            number = torch.arange(first, min(first + self.chunk, size), device=low.device)
            index = torch.stack(torch.unravel_index(number, tuple(sides.tolist())), -1)
            yield index, self(low + step * index)

    def sum(self, low: Tensor, step: Tensor, sides: Tensor) -> Tensor:
        """The logarithm of the sum over a grid, (B,)."""
        total = double(self.x.new_full((len(self.x),), -torch.inf))
        for _, values in self.blocks(low, step, sides):
            total = torch.logaddexp(total, values.logsumexp(0))
        return total

    def edges(
        self, low: Tensor, step: Tensor, sides: Tensor, period: float | None
    ) -> tuple[Tensor, Tensor]:
        """The same of the nodes at the lower and the upper ends, (2, D, B), and of all, (B,)."""
        total = double(self.x.new_full((len(self.x),), -torch.inf))
        ends = total.repeat(2, len(sides), 1)
        for index, values in self.blocks(low, step, sides):
            total = torch.logaddexp(total, values.logsumexp(0))
            for d in range(0 if period else len(sides)):
                for end, at in enumerate((0, int(sides[d]) - 1)):
                    if len(there := values[index[:, d] == at]):
                        ends[end, d] = torch.logaddexp(ends[end, d], there.logsumexp(0))
        return ends, total

    def __call__(self, u: Tensor) -> Tensor:
        u = u.unflatten(-1, self.shape)
        z = self.transform(u)
        volume = self.transform.log_abs_det_jacobian(u, z).reshape(len(z), -1).sum(1)
        weight = self.log_prior(z) + volume.nan_to_num(-torch.inf)
        return log_probs(self.vae.decode(z.to(self.x)), self.x) + weight[:, None]

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z), (S,): in float64, if the prior takes such numbers."""
        try:
            return double(self.prior.log_prob(z))
        except RuntimeError:  # of matrices of another type
            return double(self.prior.log_prob(z.to(self.x)))
