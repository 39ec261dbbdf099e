r"""Which variables of z say anything of an image: active units, and how far each is from its prior.

A unit's activity is the variance over images of its posterior mean, in the units of z squared:

.. math:: A_d = \mathrm{Var}_x\big(\mathbb{E}_{q(z|x)}[z_d]\big)

Variables that are no single numbers have a mean that is a vector, and their activity is the sum of
the variances of its entries: one-hot variables that of their probabilities, points of a simplex that
of their coordinates, directions too, angles that of :math:`\mathbb{E}_q[(\cos z, \sin z)]`, whose length tells how
concentrated q is: the mean angle of a q that is uniform on the circle means nothing.

References:
    | Importance Weighted Autoencoders (Burda et al., 2016), section 5.2
    | (https://arxiv.org/abs/1509.00519).
"""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, VonMises, constraints, kl_divergence

from vae.devices import double
from vae.distributions.chain import Chain
from vae.distributions.operations import base_of
from vae.distributions.power_spherical import sphere
from vae.models.vae import VAE

__all__ = [
    "Means",
    "UnitKL",
    "active_units",
    "activity",
    "layer_rates",
    "unit_kl",
    "unit_means",
]


class Means(NamedTuple):
    """The posterior means of L units, vectors of E entries each.

    Attributes:
        value: With shape ``(B, L, E)``.
        error: The variance of each by Monte Carlo; None where the means are exact.
    """

    value: Tensor
    error: Tensor | None


class UnitKL(NamedTuple):
    """KL(q(z_l|x) || p(z_l)) of each variable, in nats.

    Attributes:
        value: With shape ``(B, L)``.
        monte_carlo: Whether it is estimated from samples, for want of a closed form.
    """

    value: Tensor
    monte_carlo: bool


@singledispatch
def _mean(base: Distribution) -> Tensor:
    """What a unit's activity is the variance of: ``(B, *units, E)``."""
    return base.mean if _is_joint(base) else base.mean.unsqueeze(-1)


@_mean.register
def _(base: VonMises) -> Tensor:
    length = (1 - base.variance).expand_as(base.loc)
    return torch.stack([length * base.loc.cos(), length * base.loc.sin()], -1)


def _is_joint(base: Distribution) -> bool:
    """Whether an event is one variable, not one an entry."""
    if isinstance(base, Chain):
        return _is_joint(base_of(base.first))
    try:
        return base.support in (constraints.one_hot, constraints.simplex, sphere)
    except NotImplementedError:
        return False


@torch.no_grad()
def unit_means(q: Distribution, num_samples: int = 64) -> Means:
    """E_q[z] of every unit: in closed form or, where a family has none, from K samples.

    Arguments:
        q: A posterior with batch shape (B,).
        num_samples: K.
    """
    base = base_of(q)
    if isinstance(base, Chain):
        return _means_of_layers(base, num_samples)
    try:
        mean = _mean(base)
        return Means(mean.reshape(len(mean), -1, mean.shape[-1]), None)
    except NotImplementedError:
        z = q.sample(Size([num_samples]))  # (K, B, *event)
        entries = z.shape[-1] if _is_joint(base) else 1
        z = z.reshape(*z.shape[:2], -1, entries)
        return Means(z.mean(0), z.var(0) / num_samples)


def _means_of_layers(q: Chain, num_samples: int) -> Means:
    """Of upper layers, the mean over samples of those below; without a mean, of their own too."""
    z = q.sample(Size([num_samples]))
    means, errors = [], []
    for number, (law, drawn) in enumerate(zip(q.laws(z), q.split(z), strict=True)):
        exact = number == 0
        try:
            given = _mean(base_of(law))  # (K, B, L, E), of the first layer (B, L, E)
        except NotImplementedError:
            exact, given = False, drawn if q.variable_shape else drawn.unsqueeze(-1)
        means.append(given if exact else given.mean(0))
        errors.append(torch.zeros_like(given) if exact else given.var(0) / num_samples)
    return Means(torch.cat(means, 1), torch.cat(errors, 1))


def activity(mean: Tensor, error: Tensor | None = None) -> Tensor:
    """The activity of every unit, with shape (L,).

    Arguments:
        mean: E_q[z] of N images, with shape ``(N, L, E)``, N at least 2.
        error: The variance of each by Monte Carlo, which is no variance over images.
    """
    variance = double(mean).var(0)
    return (variance if error is None else variance - double(error).mean(0)).sum(-1)


def active_units(mean: Tensor, threshold: float = 0.01) -> int:
    r"""The number of entries of z with :math:`\mathrm{Var}_x(\mathbb{E}_q[z]) >` threshold.

    Arguments:
        mean: E_q[z] of many images, with shape ``(N, *event)``.
        threshold: The variance above which an entry counts.
    """
    return int((activity(mean.flatten(1).unsqueeze(-1)) > threshold).sum())


@torch.no_grad()
def unit_kl(vae: VAE, q: Distribution, num_samples: int = 64) -> UnitKL | None:
    """The KL of every variable, or None where q and the prior are no products over the same ones.

    The sum over variables is the rate. Closed forms are :func:`torch.distributions.kl_divergence`'s.

    Arguments:
        vae: What has the prior.
        q: A posterior with batch shape (B,).
        num_samples: Samples z of each image, where there is no closed form.
    """
    p, whole = vae.prior(), q
    while isinstance(q, Independent) and isinstance(p, Independent):
        if q.reinterpreted_batch_ndims != p.reinterpreted_batch_ndims:
            return None
        q, p = q.base_dist, p.base_dist
    several = q.event_shape.numel() > 1 and not _is_joint(q)
    if several or isinstance(q, Independent) or isinstance(p, Independent):
        return None
    try:
        kl, monte_carlo = kl_divergence(q, p.expand(q.batch_shape)), False
    except NotImplementedError:
        z = whole.sample(Size([num_samples]))
        kl, monte_carlo = (q.log_prob(z) - p.log_prob(z)).mean(0), True
    return UnitKL(kl.reshape(len(kl), -1), monte_carlo)


@torch.no_grad()
def layer_rates(vae: VAE, q: Distribution, num_samples: int = 64) -> Tensor | None:
    r"""What each stochastic layer adds to the rate, ``(B, L)``; None where there is one layer.

    .. math:: \mathbb{E}_q\big[\log q(z_l | z_{l-1}) - \log p(z_l | z_{l+1})\big]

    It is a divergence for the top layer only; their sum is KL(q(z|x) || p(z)).
    """
    prior = vae.prior()
    if not isinstance(q, Chain) or not isinstance(prior, Chain):
        return None
    z = q.sample(Size([num_samples]))
    terms = zip(q.log_probs(z), reversed(prior.log_probs(z)), strict=True)
    return torch.stack([(ours - theirs).mean(0) for ours, theirs in terms], 1)
