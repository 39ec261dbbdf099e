r"""The log-density of each of M values under each of N distributions: of latents under posteriors.

Each is a sum over variables: of exponential families all are one matrix product, in float64, a
hundred times faster than ``log_prob`` of each pair:

.. math:: \log q(z|x_n) = \langle T(z), \eta_n \rangle + c_n

A family is known by its exact type: a class derived from one may have another density. All others
are asked for their ``log_prob``, a few latents at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, distributions
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from vae.devices import asynchronous, double
from vae.distributions import bernoulli, gamma, normal, one_hot, von_mises
from vae.distributions.chain import Chain
from vae.distributions.conditional_bernoulli import ConditionalBernoulli

__all__ = ["Densities", "log_densities"]


Densities = Callable[[Tensor], Tensor]
"""Values ``(M, *event)`` to their log-densities under each of N distributions, float64 ``(M, N)``."""

ELEMENTS = {False: 2**16, True: 2**24}
"""Entries of values times distributions at a time, on a device that is ``asynchronous`` or not."""

LARGEST = 1e9
"""A constant from which on its difference to the product keeps less than six digits after the point:
that of a Gaussian whose scale is 1/50,000 of its mean."""

Linear = tuple[Callable[[Tensor], Tensor], Tensor, Tensor]
"""T, from ``(M, *units, *event)`` to ``(M, *units, S)``; its weights ``(N, *units, S)``; and
constants ``(N, *units)``."""


def log_densities(q: Distribution) -> Densities:
    """What gives values' log-densities under each of the distributions ``q``, of batch shape (N,).

    Memory is bounded by that of the answer.
    """
    if isinstance(q, Chain):
        return _of_chain(q)
    base = q
    while type(base) is Independent:
        base = base.base_dist
    if type(base) not in FAMILIES:
        return lambda z: _by_log_prob(q, z)
    statistics, weights, constants = FAMILIES[type(base)](base)
    if not bool(constants.abs().max() < LARGEST):
        return lambda z: _by_log_prob(q, z)
    (count,) = q.batch_shape
    weights, constants = weights.reshape(count, -1).T, constants.reshape(count, -1).sum(1)
    return lambda z: statistics(double(z)).reshape(len(z), -1) @ weights + constants


def _of_chain(q: Chain) -> Densities:
    """Only the first layer's law is another one for each image."""
    first = log_densities(q.first)

    def densities(z: Tensor) -> Tensor:
        layers = q.split(z)
        total = first(layers[0])
        for link, below, above in zip(q.links, layers[:-1], layers[1:], strict=True):
            total = total + double(link(below).log_prob(above))[:, None]
        return total

    return densities


def _by_log_prob(q: Distribution, z: Tensor) -> Tensor:
    (count,) = q.batch_shape
    event = z.shape[1:]
    rows = max(1, ELEMENTS[asynchronous(z.device)] // (count * event.numel()))
    parts = [part.unsqueeze(1).expand(-1, count, *event) for part in z.split(rows)]
    return torch.cat([double(q.log_prob(part)) for part in parts])


def _normal(q: distributions.Normal) -> Linear:
    loc, scale = double(q.loc), double(q.scale)
    weights = torch.stack([loc / scale.square(), -0.5 / scale.square()], -1)
    constants = -(loc / scale).square() / 2 - scale.log() - math.log(2 * math.pi) / 2
    return lambda z: torch.stack([z, z.square()], -1), weights, constants


def _bernoulli(q: distributions.Bernoulli) -> Linear:
    logits = _finite(q.logits)
    return lambda z: z.unsqueeze(-1), logits.unsqueeze(-1), -softplus(logits)


def _one_hot(q: distributions.OneHotCategorical) -> Linear:
    logits = _finite(q.logits)
    return lambda z: z, logits, torch.zeros_like(logits[..., 0])


def _conditional_bernoulli(q: ConditionalBernoulli) -> Linear:
    wide = ConditionalBernoulli(q.k, double(q.logits), validate_args=False)
    return lambda z: z, wide.logits, -wide.log_normalizer


def _poisson(q: distributions.Poisson) -> Linear:
    rate = double(q.rate)
    weights = torch.stack([rate.log(), -torch.ones_like(rate)], -1)
    return lambda z: torch.stack([z, (z + 1).lgamma()], -1), weights, -rate


def _gamma(q: distributions.Gamma) -> Linear:
    a, b = double(q.concentration), double(q.rate)
    constants = a * b.log() - a.lgamma()
    return lambda z: torch.stack([_log(z), z], -1), torch.stack([a - 1, -b], -1), constants


def _beta(q: distributions.Beta) -> Linear:
    a, b = double(q.concentration1), double(q.concentration0)
    constants = (a + b).lgamma() - a.lgamma() - b.lgamma()
    weights = torch.stack([a - 1, b - 1], -1)
    return lambda z: torch.stack([_log(z), _log(1 - z)], -1), weights, constants


def _dirichlet(q: distributions.Dirichlet) -> Linear:
    a = double(q.concentration)
    return _log, a - 1, a.sum(-1).lgamma() - a.lgamma().sum(-1)


def _von_mises(q: distributions.VonMises) -> Linear:
    loc, kappa = torch.broadcast_tensors(double(q.loc), double(q.concentration))
    weights = torch.stack([kappa * loc.cos(), kappa * loc.sin()], -1)
    constants = -kappa - torch.special.i0e(kappa).log() - math.log(2 * math.pi)
    return lambda z: torch.stack([z.cos(), z.sin()], -1), weights, constants


def _finite(logits: Tensor) -> Tensor:
    """In float64, with numbers for infinities, which would make 0 * inf of what is not drawn."""
    return double(logits).clamp(-1e30, 1e30)


def _log(z: Tensor) -> Tensor:
    """log z, where z may have underflowed: the smallest number of single precision."""
    return z.clamp_min(torch.finfo(torch.float32).tiny).log()


FAMILIES: dict[type, Callable[..., Linear]] = {
    distributions.Normal: _normal,
    normal.Normal: _normal,
    distributions.Bernoulli: _bernoulli,
    bernoulli.Bernoulli: _bernoulli,
    distributions.OneHotCategorical: _one_hot,
    one_hot.OneHotCategorical: _one_hot,
    ConditionalBernoulli: _conditional_bernoulli,
    distributions.Poisson: _poisson,
    gamma.Poisson: _poisson,
    distributions.Gamma: _gamma,
    gamma.Gamma: _gamma,
    distributions.Beta: _beta,
    gamma.Beta: _beta,
    distributions.Dirichlet: _dirichlet,
    gamma.Dirichlet: _dirichlet,
    distributions.VonMises: _von_mises,
    von_mises.VonMises: _von_mises,
}
"""The exponential families, and how each is linear in statistics of z."""
