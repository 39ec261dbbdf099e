r"""Measure-valued derivatives: the derivative of a density is a difference of two densities.

.. math:: \frac{\partial q_\phi(z)}{\partial \phi} = c_\phi \big( q^+_\phi(z) - q^-_\phi(z) \big)
    \quad\Rightarrow\quad
    \nabla_\phi \mathbb{E}_{q_\phi}[f] =
    c_\phi \big( \mathbb{E}_{q^+}[f] - \mathbb{E}_{q^-}[f] \big)

It needs values of :math:`f` only, which may be discontinuous, and costs at least one further
evaluation a parameter: one variable at a time is put at its two points, the others are sampled.

=================  ================================  ======================  ======================
parameter          :math:`c`                         :math:`q^+`             :math:`q^-`
=================  ================================  ======================  ======================
Normal, loc        :math:`1 / \sigma \sqrt{2 \pi}`   :math:`\mu + \sigma W`  :math:`\mu - \sigma W`
Normal, scale      :math:`1 / \sigma`                :math:`\mu + \sigma M`  the Normal
Laplace, loc       :math:`1 / 2b`                    :math:`\mu + b E_1`     :math:`\mu - b E_1`
Laplace, scale     :math:`1 / b`                     :math:`\mu + b T`       the Laplace
Bernoulli, probs   1                                 at 1                    at 0
Poisson, rate      1                                 the Poisson, plus 1     the Poisson
=================  ================================  ======================  ======================

with :math:`W` of the Weibull density :math:`w e^{-w^2 / 2}`, :math:`w > 0`, and :math:`M` of the
double-sided Maxwell density :math:`m^2 e^{-m^2 / 2} / \sqrt{2 \pi}`, :math:`E_1` exponential, and
:math:`T = \pm (E_1 + E_2)` of the density :math:`|t| e^{-|t|} / 2`.

Each pair is coupled. With :math:`n` a standard Gaussian vector in three dimensions,
:math:`W = \sqrt{n_2^2 + n_3^2}` and :math:`M = \mathrm{sign}(n_1) |n|`, of which the normal
:math:`n_1` is a uniform fraction. A Laplace variable is :math:`\pm E_1`, with
the sign of T. So the sample of the bound serves as the lower point wherever
the table has the family itself there; for a Bernoulli it is one of the two points.

With several samples, sample k sees the objective :math:`h_k`, as a function of its own f alone.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution, Laplace, Normal, Poisson

from vae.distributions.operations import base_of, describe, parameters
from vae.distributions.special import change
from vae.estimators.base import Estimate, Estimator, Integrand, attach, without_score
from vae.estimators.local_expectation import local_gain
from vae.objectives import Objective

__all__ = ["MeasureValued", "WeakDerivative", "weak_derivatives"]


class WeakDerivative(NamedTuple):
    """The derivative of a family in one parameter: ``constant * (f(plus) - f(minus))``.

    Attributes:
        parameter: Its name in :func:`vae.distributions.operations.parameters`.
        constant: c, or a factor that depends on the sample; broadcasts with the points.
        plus: The upper points, with the shape of the sample.
        minus: The lower points; None if they are the sample.
    """

    parameter: str
    constant: Tensor
    plus: Tensor
    minus: Tensor | None = None


@singledispatch
def weak_derivatives(q: Distribution, sample_shape: Size) -> tuple[Tensor, list[WeakDerivative]]:
    """A sample of q and, coupled to it, its weak derivative in every parameter.

    Raises:
        NotImplementedError: If none is known for the family.
    """
    raise NotImplementedError(f"{describe(q)} has no weak derivative here")


@weak_derivatives.register
def _(q: Normal, sample_shape: Size) -> tuple[Tensor, list[WeakDerivative]]:
    loc, scale = q.loc.detach(), q.scale.detach()
    dtype = torch.promote_types(loc.dtype, torch.float32)
    shape = Size([3]) + q._extended_shape(sample_shape)
    n = torch.randn(shape, dtype=dtype, device=loc.device)
    normal, maxwell = n[0], torch.copysign(n.square().sum(0).sqrt(), n[0])
    weibull = n[1:].square().sum(0).sqrt()

    def point(x: Tensor) -> Tensor:
        return (loc + scale * x).to(loc.dtype)

    in_loc = WeakDerivative(
        "loc", 1 / (scale * math.sqrt(2 * math.pi)), point(weibull), point(-weibull)
    )
    return point(normal), [in_loc, WeakDerivative("scale", 1 / scale, point(maxwell))]


@weak_derivatives.register
def _(q: Laplace, sample_shape: Size) -> tuple[Tensor, list[WeakDerivative]]:
    loc, scale = q.loc.detach(), q.scale.detach()
    shape = q._extended_shape(sample_shape)
    noise = torch.empty(Size([2]) + shape, dtype=loc.dtype, device=loc.device).exponential_()
    first, both = noise[0], noise.sum(0)
    sign = torch.where(torch.rand(shape, device=loc.device) < 0.5, -1.0, 1.0).to(loc.dtype)
    in_loc = WeakDerivative("loc", 1 / (2 * scale), loc + scale * first, loc - scale * first)
    in_scale = WeakDerivative("scale", 1 / scale, loc + sign * scale * both)
    return loc + sign * scale * first, [in_loc, in_scale]


@weak_derivatives.register
def _(q: Bernoulli, sample_shape: Size) -> tuple[Tensor, list[WeakDerivative]]:
    z, logits = q.sample(sample_shape), q.logits.detach()
    slope = logits.sigmoid() * (-logits).sigmoid()  # of the probability, in the logit
    # f(1) - f(0) = (1 - 2z) (f(1 - z) - f(z))
    return z, [WeakDerivative("logits", slope * (1 - 2 * z), 1 - z)]


@weak_derivatives.register
def _(q: Poisson, sample_shape: Size) -> tuple[Tensor, list[WeakDerivative]]:
    z = q.sample(sample_shape)
    return z, [WeakDerivative("rate", torch.ones_like(q.rate), z + 1)]


class MeasureValued(Estimator):
    r"""Creates the measure-valued estimator, with coupled points.

    .. math:: c_\phi \big( f(z_{-d}, z_d^+) - f(z_{-d}, z_d^-) \big), \quad d = 1, \dots, D

    For Bernoulli variables it is the local expectation gradient.

    References:
        | Sampling Derivatives of Probabilities (Pflug, 1989): weak derivatives.
        | https://doi.org/10.1007/BF02243227
        | Monte Carlo Gradient Estimation in Machine Learning (Mohamed et al., 2020), section 6
        | (https://arxiv.org/abs/1906.10652).
        | Measure-Valued Derivatives for Approximate Bayesian Inference (Rosca et al., 2019).
        | http://bayesiandeeplearning.org/2019/papers/76.pdf
    """

    families = (Normal, Laplace, Bernoulli, Poisson)
    paper = "Pflug 1989; Mohamed et al. 2020; Rosca et al. 2019"

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        # of a location two points, of a scale one
        return K * (1 + (3 if issubclass(family, (Normal, Laplace)) else 1) * D)

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z, derivatives = weak_derivatives(base_of(q), Size([objective.num_samples]))
        fz = f(z, without_score(q, objective))  # (K, B)
        bound = objective.reduce(fz)
        points = [p for d in derivatives for p in (d.plus, d.minus) if p is not None]
        gain = iter(local_gain(q, z, torch.stack(points), fz, f, objective))
        surrogate = torch.zeros_like(bound)
        for d in derivatives:
            difference = next(gain)  # (K, B, D), over the sample
            if d.minus is not None:
                difference = difference - next(gain)
            leaf = change(parameters(q)[d.parameter])
            weighted = d.constant * leaf  # (B, *event) or (K, B, *event)
            weighted = weighted.expand_as(z).reshape(difference.shape)
            surrogate = surrogate + (difference * weighted).sum((0, 2))
        return Estimate(attach(bound, surrogate))
