"""What a latent variable can be: the values that a traversal goes through, one variable at a time.

A variable is one of the batch of independent distributions that p(z) is made of: an entry of z or,
of one-hot and Dirichlet ones, a row. Of a prior that is none of independent variables, each entry of
z counts as one.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Dirichlet, Distribution, Independent, Poisson, VonMises

from vae.distributions.chain import Chain
from vae.distributions.kinds import kind_of
from vae.distributions.logistic_normal import LogisticNormal
from vae.distributions.operations import base_of, describe
from vae.distributions.power_spherical import HypersphericalUniform, PowerSpherical

__all__ = ["Values", "factors", "levels_of", "values_of"]

DRAWN = 10_000
"""Samples of the prior, where it does not say its quantiles."""


class Values(NamedTuple):
    """Values of every variable.

    Attributes:
        z: ``(V, L, *event)``: V values of each of L variables, whose own event is ``event``.
        labels: Of the values, V words.
        what: What they are, for an axis.
    """

    z: Tensor
    labels: list[str]
    what: str


def factors(p: Distribution) -> Distribution | None:
    """The independent variables that ``p`` is made of, as a batch; None if it is not."""
    base = base_of(p)
    if not isinstance(p, Independent) or len(base.batch_shape) - len(p.batch_shape) != 1:
        return None
    return base


def levels_of(columns: int) -> Tensor:
    """So many quantile levels, from 1 % to 99 %."""
    return torch.linspace(0.01, 0.99, columns)


@torch.no_grad()
def values_of(prior: Distribution, levels: Tensor) -> Values:
    """The values of every variable under a prior.

    Categories are all of their values, counts those up to the highest level, angles go round once,
    and others take the prior's quantiles.

    Arguments:
        prior: p(z), with batch shape ().
        levels: Between 0 and 1, ascending.
    """
    if isinstance(prior, Chain):
        return _of_layers(prior, levels)
    base = factors(prior)
    if kind_of(prior) == "k-subset":
        raise NotImplementedError(
            f"no entry of {describe(prior)} can change alone: the number of ones is fixed; vae"
            " interpolate swaps items one after the other"
        )
    if base is None:
        return _quantiles(prior.sample(Size([DRAWN])).flatten(1), levels)
    return _values(base, levels)


def _of_layers(prior: Chain, levels: Tensor) -> Values:
    """Variables of one kind: categories are those of each, others take quantiles of samples."""
    base = factors(prior.first)
    if base is None or not base.has_enumerate_support:
        return _quantiles(prior.sample(Size([DRAWN])).flatten(1), levels)
    found = _values(base, levels)
    return found._replace(z=found.z[:, :1].expand(-1, sum(prior.sizes), *base.event_shape))


@singledispatch
def _values(base: Distribution, levels: Tensor) -> Values:
    if base.has_enumerate_support:
        z = base.enumerate_support()  # (C, L, *event)
        return Values(z, [str(number) for number in range(len(z))], "category")
    try:
        z = base.icdf(levels.to(base.sample())[:, None])
    except NotImplementedError:
        sample = base.sample(Size([DRAWN]))
        if base.event_shape:
            raise NotImplementedError(
                f"the values of {type(base).__name__} variables have no order to go through"
            ) from None
        return _quantiles(sample, levels)
    return Values(z, _percent(levels), "quantile of the prior")


@_values.register
def _(base: VonMises, levels: Tensor) -> Values:
    number = len(levels)
    angles = torch.arange(number) * (2 * math.pi / number) - math.pi
    z = angles.to(base.loc)[:, None].expand(-1, *base.batch_shape)
    return Values(z, [f"{math.degrees(a):.0f}°" for a in angles.tolist()], "angle")


@_values.register(PowerSpherical)
@_values.register(HypersphericalUniform)
def _(base: Distribution, levels: Tensor) -> Values:
    """Once round a circle; points of a sphere have no order."""
    if base.event_shape[0] > 2:
        raise NotImplementedError("points of a sphere have no order to go through")
    number = len(levels)
    angles = torch.arange(number) * (2 * math.pi / number) - math.pi
    z = torch.stack([angles.cos(), angles.sin()], -1).to(base.sample())[:, None]
    labels = [f"{math.degrees(a):.0f}°" for a in angles.tolist()]
    return Values(z.expand(-1, *base.batch_shape, -1), labels, "angle")


@_values.register
def _(base: Poisson, levels: Tensor) -> Values:
    sample = base.sample(Size([DRAWN]))
    most = sample.flatten().sort().values[int(levels[-1] * (sample.numel() - 1))].item()
    counts = torch.linspace(0, most, min(len(levels), int(most) + 1)).round()
    z = counts.to(sample)[:, None].expand(-1, *base.batch_shape)
    return Values(z, [f"{count:.0f}" for count in counts.tolist()], "count")


@_values.register(Dirichlet)
@_values.register(LogisticNormal)
def _(base: Distribution, levels: Tensor) -> Values:
    """Towards each corner: one share at the prior's highest level, the others alike."""
    (size,) = base.event_shape
    sample = base.sample(Size([DRAWN]))  # (N, L, C)
    high = sample.sort(0).values[int(levels[-1] * (DRAWN - 1))]  # (L, C)
    corner = torch.eye(size).to(high)[:, None]  # (C, 1, C)
    z = corner * high + (1 - corner) * ((1 - (corner * high).sum(-1, keepdim=True)) / (size - 1))
    return Values(z, [str(number) for number in range(size)], "category with the largest share")


def _quantiles(sample: Tensor, levels: Tensor) -> Values:
    """Of samples ``(N, L)``; sorted, since torch's own take no more than 16 million numbers."""
    ranks = (levels * (len(sample) - 1)).round().long().to(sample.device)
    return Values(sample.sort(0).values[ranks], _percent(levels), "quantile of the prior")


def _percent(levels: Tensor) -> list[str]:
    return [f"{100 * level:.0f} %" for level in levels.tolist()]
