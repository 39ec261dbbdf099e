r"""Gamma, Beta, Dirichlet and Poisson distributions at every concentration and rate.

The textbook formulae are differences of log-gamma functions: of order :math:`a \log a`, 1e7 at a
concentration of 1e6, where single precision knows no digit after the point. With Stirling's
formula, :math:`\log\Gamma(a) = (a - \tfrac12) \log a - a + \tfrac12 \log 2\pi + r(a)`, the large
terms combine to a sum of :math:`\phi(x) = x - 1 - \log x \ge 0`:

.. math::
    \log \mathrm{Gamma}(z; a, b) = -a\, \phi(b z / a) - \log z + \tfrac12 \log \tfrac{a}{2\pi} - r(a)

and the divergence of Gamma(a, b) from Gamma(c, d) is

.. math:: c\, \phi\big(\tfrac{a d}{c b}\big) + \tfrac12 \phi\big(\tfrac{c}{a}\big) + r(c) - r(a) - (c - a)\, r'(a)

For a Dirichlet with sums A, C of the concentrations the same holds of each term and of the sums,
and :math:`\sum_i c_i\, \phi(a_i C / c_i A)` is what remains of the first.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Beta as TorchBeta
from torch.distributions import Dirichlet as TorchDirichlet
from torch.distributions import Gamma as TorchGamma
from torch.distributions import Poisson as TorchPoisson
from torch.distributions.kl import register_kl

from vae.distributions.special import (
    HALF_LOG_2PI,
    bregman_lgamma,
    excess,
    one_hot,
    stirling_remainder,
    stirling_remainder_slope,
)

__all__ = ["Beta", "Dirichlet", "Gamma", "Poisson"]


def _log_powers(a: Tensor, difference: Tensor, log_scale: Tensor, z: Tensor) -> Tensor:
    r""":math:`\sum_i a_i \log w_i - \log z_i` over the last dimension, of :math:`w = z e^{s}`
    with :math:`\sum_i a_i (w_i - 1) = 0`, given ``difference = a (w - 1)``; also where z is 0."""
    near = difference.abs() < 0.3 * a
    none, one = torch.zeros_like(difference), torch.ones_like(difference)
    small = torch.where(near, difference, none)
    close = -excess(small, none, a) - torch.where(near, z, one).log()
    far = a * log_scale + torch.special.xlogy(a - 1, torch.where(near, one, z))
    # what excess leaves out of a log w sums to zero over all, not over some
    omitted = torch.where(near.all(-1), none[..., 0], small.sum(-1))
    return torch.where(near, close, far).sum(-1) + omitted


def _entropy_term(a: Tensor) -> Tensor:
    """log-gamma(a) - (a - 1) digamma(a), plus a."""
    slope = stirling_remainder_slope(a)
    return a.log() / 2 + HALF_LOG_2PI + 0.5 - 0.5 / a + stirling_remainder(a) + (1 - a) * slope


class Gamma(TorchGamma):
    """Creates a Gamma distribution. Arguments as for torch's."""

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a, b = self.concentration, self.rate
        a, b, value = torch.broadcast_tensors(a, b, value)
        difference, log_scale = value * b - a, b.log() - a.log()
        near = difference.abs() < 0.3 * a
        none, one = torch.zeros_like(a), torch.ones_like(a)
        close = -excess(torch.where(near, difference, none), none, a)
        close = close - torch.where(near, value, one).log()
        far = a * log_scale + torch.special.xlogy(a - 1, torch.where(near, one, value))
        power = torch.where(near, close, far - torch.where(near, none, difference))
        return power + a.log() / 2 - HALF_LOG_2PI - stirling_remainder(a)

    def entropy(self) -> Tensor:
        return _entropy_term(self.concentration) - self.rate.log()


class Beta(TorchBeta):
    """Creates a Beta distribution. Arguments as for torch's."""

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        one, zero, value = torch.broadcast_tensors(self.concentration1, self.concentration0, value)
        a, z = torch.stack([one, zero], -1), torch.stack([value, 1 - value], -1)
        cross = value * zero - (1 - value) * one  # a difference that does not cancel
        total = one + zero
        log_scale = total.log()[..., None] - a.log()
        powers = _log_powers(a, torch.stack([cross, -cross], -1), log_scale, z)
        return powers + _log_normalizer(a, total)

    def entropy(self) -> Tensor:
        return _dirichlet_entropy(torch.stack([self.concentration1, self.concentration0], -1))


class Dirichlet(TorchDirichlet):
    """Creates a Dirichlet distribution. Arguments as for torch's."""

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a, value = torch.broadcast_tensors(self.concentration, value)
        total = a.sum(-1, keepdim=True)
        difference = _sum_to_zero(value * total - a, value * total + a)
        powers = _log_powers(a, difference, total.log() - a.log(), value)
        return powers + _log_normalizer(a, total[..., 0])

    def entropy(self) -> Tensor:
        return _dirichlet_entropy(self.concentration)


def _sum_to_zero(x: Tensor, size: Tensor) -> Tensor:
    """x, differences of terms of this size, which sum to zero but for rounding: the largest, where
    the rounding is, becomes what the others leave."""
    largest = one_hot(size.argmax(-1), x)
    return x - largest * x.sum(-1, keepdim=True)


def _log_normalizer(a: Tensor, total: Tensor) -> Tensor:
    stirling = (a.log() / 2 - HALF_LOG_2PI - stirling_remainder(a)).sum(-1)
    return stirling - total.log() / 2 + HALF_LOG_2PI + stirling_remainder(total)


def _dirichlet_entropy(a: Tensor) -> Tensor:
    total = a.sum(-1)
    digamma = total.log() - 0.5 / total + stirling_remainder_slope(total)
    return _entropy_term(a).sum(-1) - _entropy_term(total) - (a.shape[-1] - 1) * digamma


class Poisson(TorchPoisson):
    """Creates a Poisson distribution. Arguments as for torch's."""

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        rate, value = torch.broadcast_tensors(self.rate, value)
        n = value.clamp_min(0.5)  # any number, where the count is 0
        counted = excess(rate - n, rate.log() - n.log(), n)
        counted = counted + n.log() / 2 + HALF_LOG_2PI + stirling_remainder(n)
        return -torch.where(value > 0, counted, rate)


# Divergences
# ----------------------------------------------------------------------------------------


@register_kl(TorchGamma, TorchGamma)
def _kl_gamma(p: TorchGamma, q: TorchGamma) -> Tensor:
    a, b, c, d = torch.broadcast_tensors(p.concentration, p.rate, q.concentration, q.rate)
    log_ratio = a.log() - c.log() + d.log() - b.log()
    # a d / b - c: by relative differences where both ratios are near 1, else free of c
    near = torch.maximum((a - c).abs() / c, (d - b).abs() / b) < 0.5
    one = torch.ones_like(log_ratio)
    a1, c1, d1, b1 = (torch.where(near, x, one) for x in (a, c, d, b))
    shapes, rates = (a1 - c1) / c1, (d1 - b1) / b1
    close = c1 * (shapes + rates + shapes * rates)
    difference = torch.where(near, close, a * (d / b) - c)
    return excess(difference, log_ratio, c) + bregman_lgamma(c, a)


@register_kl(TorchBeta, TorchBeta)
def _kl_beta(p: TorchBeta, q: TorchBeta) -> Tensor:
    a1, a0, c1, c0 = torch.broadcast_tensors(
        p.concentration1, p.concentration0, q.concentration1, q.concentration0
    )
    a, c = torch.stack([a1, a0], -1), torch.stack([c1, c0], -1)
    cross = _cross(a1, a0, c1, c0)
    return _kl(a, c, torch.stack([cross, -cross], -1))


@register_kl(TorchDirichlet, TorchDirichlet)
def _kl_dirichlet(p: TorchDirichlet, q: TorchDirichlet) -> Tensor:
    a, c = torch.broadcast_tensors(p.concentration, q.concentration)
    total_a, total_c = a.sum(-1, keepdim=True), c.sum(-1, keepdim=True)
    cross = _cross(a, total_a, c, total_c)
    return _kl(a, c, _sum_to_zero(cross, a * total_c + c * total_a))


def _cross(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """a d - b c, by differences where a is near c and b near d."""
    near = ((a - c).abs() < c / 2) & ((b - d).abs() < d / 2)
    return torch.where(near, (a - c) * d - (b - d) * c, a * d - b * c)


def _kl(a: Tensor, c: Tensor, cross: Tensor) -> Tensor:
    total_a, total_c = a.sum(-1), c.sum(-1)
    log_ratio = a.log() - c.log() + (total_c.log() - total_a.log())[..., None]
    means = excess(cross / total_a[..., None], log_ratio, c)
    return (means + bregman_lgamma(c, a)).sum(-1) - bregman_lgamma(total_c, total_a)


@register_kl(TorchPoisson, TorchPoisson)
def _kl_poisson(p: TorchPoisson, q: TorchPoisson) -> Tensor:
    return excess(q.rate - p.rate, q.rate.log() - p.rate.log(), p.rate)
