r"""The Kumaraswamy distribution: like a Beta, with a distribution function in closed form.

.. math:: F(z) = 1 - (1 - z^a)^b, \qquad z = \big(1 - e^{-E / b}\big)^{1/a}, \quad E \sim \mathrm{Exp}(1)

Everything is written in :math:`\log z` and :math:`\log(1 - z^a)`, neither of which is rounded to
0 where the variable comes near an end of the interval. Against a Beta prior,

.. math:: \mathrm{KL} = \log ab - \tfrac{b-1}{b} - \big(1 - \tfrac{\alpha}{a}\big)(\gamma + \psi(b + 1))
    + \log \mathrm{B}(\alpha, \beta) - (\beta - 1)\, \mathbb{E}[\log(1 - z)]

whose last expectation the paper expands in a series that it cuts off after some terms. Here it is a
quadrature with exponentially many digits (double exponential), the same for every parameter.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Size, Tensor
from torch.distributions import Beta as TorchBeta
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl
from torch.distributions.utils import broadcast_all
from torch.types import _size

__all__ = ["Kumaraswamy", "PowerFunction"]

EULER = 0.5772156649015329


def log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(-x)) of x > 0, right for small and for large x."""
    small = x < math.log(2)
    one = torch.ones_like(x)
    near = (-torch.expm1(-torch.where(small, x, one))).log()
    return torch.where(small, near, torch.log1p(-(-torch.where(small, one, x)).exp()))


class Kumaraswamy(Distribution):
    """Creates a Kumaraswamy distribution.

    References:
        | A generalized probability density function for double-bounded random processes
        | (Kumaraswamy, 1980; https://doi.org/10.1016/0022-1694(80)90036-0).

    Arguments:
        concentration1: a > 0, of the end at 0.
        concentration0: b > 0, of the end at 1.
    """

    arg_constraints = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        concentration1: Tensor | float,
        concentration0: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> Kumaraswamy:
        new = self._get_checked_instance(Kumaraswamy, _instance)
        new.concentration1 = self.concentration1.expand(batch_shape)
        new.concentration0 = self.concentration0.expand(batch_shape)
        super(Kumaraswamy, new).__init__(Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        shape = self._extended_shape(Size(sample_shape))
        a = self.concentration1
        noise = torch.empty(shape, dtype=a.dtype, device=a.device).exponential_()
        return self._quantile(noise)

    def icdf(self, value: Tensor) -> Tensor:
        return self._quantile(-torch.log1p(-value))

    def _quantile(self, noise: Tensor) -> Tensor:
        """z, of -log(1 - F(z))."""
        finfo = torch.finfo(noise.dtype)
        x = (noise / self.concentration0).clamp_min(finfo.tiny)
        return _inside((log1mexp(x) / self.concentration1).exp())

    def cdf(self, value: Tensor) -> Tensor:
        return -torch.expm1(self.concentration0 * self._log_rest(_inside(value)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a, b, value = self.concentration1, self.concentration0, _inside(value)
        return a.log() + b.log() + (a - 1) * value.log() + (b - 1) * self._log_rest(value)

    def _log_rest(self, value: Tensor) -> Tensor:
        """log(1 - z^a)."""
        return log1mexp(-self.concentration1 * value.log())

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def variance(self) -> Tensor:
        return (self._moment(2) - self._moment(1).square()).clamp_min(0)

    def _moment(self, order: int) -> Tensor:
        b, c = self.concentration0, 1 + order / self.concentration1
        return (b.log() + b.lgamma() + c.lgamma() - (b + c).lgamma()).exp()

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return 1 - 1 / b + (1 - 1 / a) * _harmonic(b) - a.log() - b.log()


class PowerFunction(Kumaraswamy):
    r"""Creates the distribution of density :math:`a z^{a-1}`: Kumaraswamy, and Beta, with b = 1.

    As a prior it needs no quadrature: :math:`\mathbb{E}[\log(1 - z)]` is not in its divergence. With
    a = 1 it is the uniform distribution.

    Arguments:
        concentration1: a > 0.
    """

    arg_constraints = {"concentration1": constraints.positive}

    def __init__(self, concentration1: Tensor, validate_args: bool | None = None) -> None:
        super().__init__(concentration1, torch.ones_like(concentration1), validate_args)

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> PowerFunction:
        return PowerFunction(self.concentration1.expand(batch_shape), validate_args=False)


def _inside(z: Tensor) -> Tensor:
    """z, at most as near to the ends as there are numbers."""
    finfo = torch.finfo(z.dtype)
    return z.clamp(finfo.tiny, 1 - finfo.eps / 2)


def _harmonic(b: Tensor) -> Tensor:
    """The harmonic number of b > 0."""
    return (b + 1).digamma() + EULER


@cache
def _exponential_nodes() -> tuple[list[float], list[float]]:
    """Nodes E and weights of an expectation under Exp(1), by E = exp(t - exp(-t))."""
    step, nodes, weights = 0.2, [], []
    for i in range(-21, 22):
        t = i * step
        node = math.exp(t - math.exp(-t))
        nodes.append(node)
        weights.append(step * node * (1 + math.exp(-t)) * math.exp(-node))
    kept = [i for i, weight in enumerate(weights) if weight > 1e-12]
    return [nodes[i] for i in kept], [weights[i] for i in kept]


def _mean_log_rest(q: Kumaraswamy) -> Tensor:
    """E[log(1 - z)]."""
    a, b = q.concentration1, q.concentration0
    nodes, weights = (
        torch.tensor(x, dtype=a.dtype, device=a.device).view(-1, *[1] * a.dim())
        for x in _exponential_nodes()
    )
    tiny = torch.finfo(a.dtype).tiny
    minus_log_z = (-log1mexp((nodes / b).clamp_min(tiny)) / a).clamp_min(tiny)
    return (weights * log1mexp(minus_log_z)).sum(0)


def _without_rest(p: Kumaraswamy, c: Tensor) -> Tensor:
    """The divergence from a Beta of first shape c, without its normaliser and E[log(1 - z)]."""
    a, b = p.concentration1, p.concentration0
    return a.log() + b.log() - (b - 1) / b - (1 - c / a) * _harmonic(b)


@register_kl(Kumaraswamy, TorchBeta)
def _kl_kumaraswamy_beta(p: Kumaraswamy, q: TorchBeta) -> Tensor:
    c, d = q.concentration1, q.concentration0
    log_beta = c.lgamma() + d.lgamma() - (c + d).lgamma()
    return _without_rest(p, c) + log_beta - (d - 1) * _mean_log_rest(p)


@register_kl(Kumaraswamy, PowerFunction)
def _kl_kumaraswamy_power(p: Kumaraswamy, q: PowerFunction) -> Tensor:
    return _without_rest(p, q.concentration1) - q.concentration1.log()
