r"""MuProp: a first-order Taylor control variate around the mean of q.

As a function of sample k alone, the objective is :math:`h_k(f(z_k))`. Its expansion around the
mean :math:`\bar z = \mathbb{E}_q[z]`,

.. math:: c_k(z) = h_k(f(\bar z)) + \langle \nabla_z h_k(f(\bar z)), z - \bar z \rangle

depends on the other samples only, and the gradient of its expectation is known, because
:math:`\mathbb{E}_q[(z - \bar z) \nabla_\phi \log q(z)] = \nabla_\phi \bar z` for every family.
What the score function sees is the remainder:

.. math:: \sum_k \big(R - c_k(z_k)\big) \nabla_\phi \log q(z_k) + \langle \nabla_z h_k(f(\bar z)), \nabla_\phi \bar z \rangle

Under an average the other samples cancel in :math:`R - c_k`, and this is the paper's estimator
once a sample. Under the importance-weighted bound the slope is scaled by :math:`h_k'(f(\bar z))`,
the weight that the mean would have among the other samples. A baseline :math:`b` of what the
expansion leaves of f takes :math:`f(\bar z) + b` to the place of :math:`f(\bar z)` in :math:`h_k`.

The deterministic ("mean-field") pass is one more evaluation of f, at a point that need not be in
the support: it is the same for all samples.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal
from torch.func import vjp

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import detach
from vae.estimators.base import Estimate, Integrand, attach, without_score
from vae.estimators.score_function import Baseline, ScoreFunction
from vae.objectives import Objective

__all__ = ["MuProp"]


class MuProp(ScoreFunction):
    r"""Creates the MuProp estimator: the score function, with a linear control variate.

    It is the score function of what a linear approximation at the mean leaves of f, plus the exact
    gradient of that approximation.

    .. math:: (f(z) - f(\bar z) - f'(\bar z)^\top (z - \bar z)) \nabla \log q(z) + f'(\bar z)^\top \nabla \bar z

    Of a linear f, under an average, it is exact and without variance.

    The authors add a learned baseline of the image, centred and scaled as NVIL's; all three are
    options here.

    References:
        | MuProp: Unbiased Backpropagation for Stochastic Neural Networks (Gu et al., 2016),
        | section 3 (https://arxiv.org/abs/1511.05176).

    Arguments:
        baseline: As for :class:`~vae.estimators.score_function.ScoreFunction`, of what the
            expansion leaves of f; None for no baseline.
        scale: Whether the gradient of q is divided by the signal's standard deviation in earlier
            steps (:class:`~vae.estimators.running.RunningScale`).
    """

    families = (Bernoulli, OneHotCategorical, Normal)
    needs_gradient = True

    def __init__(self, baseline: Baseline | None = None, scale: bool = False) -> None:
        super().__init__(baseline, scale)
        self.paper = "Gu et al. 2016"

    def extra_name(self) -> str:
        return "MuProp"

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return K + 1

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        if self.scale is not None:
            q = self.scale(q)
        z, frozen, mean = q.sample(torch.Size([objective.num_samples])), detach(q), q.mean
        fz = f(z, without_score(q, objective))  # (K, B)
        bound, value = objective.reduce(fz), fz.detach()
        with torch.no_grad():  # the control variate trains neither the model nor q
            f_mean, pull = vjp(lambda z: f(z, frozen), mean.detach()[None])  # (1, B)
            (slope,) = pull(torch.ones_like(f_mean))  # (1, B, *event)
            linear = (slope * (z - mean)).reshape(*value.shape, -1).sum(-1)  # (K, B)
            left = value - f_mean - linear
        b, loss = self.baseline(left, context)
        if self.scale is not None:
            self.scale.observe(left if b is None else left - b)
        with torch.no_grad():
            at_mean = f_mean.expand_as(value) if b is None else f_mean + b
            h, pull = vjp(lambda a: objective.share(value, a), at_mean)
            (weight,) = pull(torch.ones_like(h))  # h_k' at the mean, (K, B)
            signal = objective.signal(value, at_mean) - weight * linear
        path = (slope[0] * mean).reshape(*bound.shape, -1).sum(-1)  # (B,)
        surrogate = (signal * q.log_prob(z)).sum(0) + weight.sum(0) * path
        return Estimate(attach(bound, surrogate), loss)
