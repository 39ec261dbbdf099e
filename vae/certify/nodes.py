"""Nodes at which an expectation of one or two continuous variables becomes a sum.

.. math:: \\mathbb{E}_q[f] = \\int q f \\, dz \\approx \\sum_s w_s \\, q(z_s) f(z_s)

They are fixed numbers, and cover what has a probability at the parameters that tests take: so the
sum's derivative in the parameters of q is that of the expectation.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.gaussian_mixture import GaussianMixture
from vae.distributions.kumaraswamy import Kumaraswamy
from vae.distributions.laplace import Laplace
from vae.distributions.logistic_normal import LogisticNormal, centred_logits
from vae.distributions.multivariate_normal import MultivariateNormal
from vae.distributions.operations import base_of
from vae.distributions.power_spherical import PowerSpherical

__all__ = ["MOST_TERMS", "Nodes", "nodes_of"]


MOST_TERMS = 3_000_000
"""Of the sum over all K-tuples of nodes."""


class Nodes(NamedTuple):
    """A rule of integration over z.

    Attributes:
        z: Values ``(S, *event)``, float64.
        log_weights: The logarithms of their weights ``(S,)``.
    """

    z: Tensor
    log_weights: Tensor


def nodes_of(q: Distribution) -> Nodes | None:
    """The nodes for a distribution with batch shape (1,); None if its family has none here."""
    found = _nodes(base_of(q), q.event_shape)
    if found is None or found.z.shape[1:].numel() != q.event_shape.numel():
        return None
    return found._replace(z=found.z.reshape(-1, *q.event_shape))


@singledispatch
def _nodes(base: Distribution, event: Size) -> Nodes | None:
    return None


def _grid(low: float, high: float, count: int, dim: int = 1) -> Nodes:
    """The trapezoidal rule on a cube, z ``(S, D)``."""
    line = torch.linspace(low, high, count, dtype=torch.float64)
    z = torch.cartesian_prod(*[line] * dim).view(-1, dim)
    step = math.log((high - low) / (count - 1))
    return Nodes(z, torch.full((len(z),), dim * step, dtype=torch.float64))


def _plane(event: Size) -> Nodes | None:
    if event.numel() > 2:
        return None
    return _grid(-8, 8, 121) if event.numel() == 1 else _grid(-7.5, 7.5, 31, 2)


@_nodes.register
def _(base: MultivariateNormal, event: Size) -> Nodes | None:
    return _plane(event)


@_nodes.register
def _(base: GaussianMixture, event: Size) -> Nodes | None:
    return _plane(event)


@_nodes.register
def _(base: Laplace, event: Size) -> Nodes | None:
    """The two sides of the peak: there the density has a kink."""
    t = torch.linspace(-3.6, 4.2, 53, dtype=torch.float64)  # |z - loc| = exp(t - exp(-t))
    x, step = (t - (-t).exp()).exp(), t[1] - t[0]
    log_w = (x * (1 + (-t).exp()) * step).log()
    loc = base.loc.detach().flatten()[0]
    return Nodes(torch.cat([loc - x, loc + x]), log_w.repeat(2))


@_nodes.register
def _(base: Kumaraswamy, event: Size) -> Nodes | None:
    t, log_w = _grid(-24, 24, 97)  # z = sigmoid(t)
    volume = torch.nn.functional.logsigmoid(t) + torch.nn.functional.logsigmoid(-t)
    return Nodes(t.sigmoid(), log_w + volume[:, 0])


@_nodes.register
def _(base: LogisticNormal, event: Size) -> Nodes | None:
    u, log_w = _grid(-8, 8.6, 84)  # of two categories
    z = centred_logits(u).softmax(-1)
    return Nodes(z, log_w + z.log().sum(-1) + math.log(2) / 2)


@_nodes.register
def _(base: PowerSpherical, event: Size) -> Nodes | None:
    """Of three dimensions: heights by Gauss and Legendre, and equal angles around the axis."""
    count = 28
    height, log_w = _legendre(count)
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    h, a = torch.cartesian_prod(height, angle).T
    radius = (1 - h.square()).sqrt()
    z = torch.stack([radius * a.cos(), radius * a.sin(), h], -1)
    return Nodes(z, log_w.repeat_interleave(count) + math.log(2 * math.pi / count))


def _legendre(count: int) -> tuple[Tensor, Tensor]:
    """Nodes and log-weights on (-1, 1), by the eigenvalues of the polynomials' Jacobi matrix."""
    n = torch.arange(1, count, dtype=torch.float64)
    jacobi = torch.diag(n / (4 * n.square() - 1).sqrt(), 1)
    nodes, vectors = torch.linalg.eigh(jacobi + jacobi.T)
    return nodes, (2 * vectors[0].square()).log()
