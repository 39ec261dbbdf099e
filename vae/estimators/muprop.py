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
the weight that the mean would have among the other samples.

The deterministic ("mean-field") pass is one more evaluation of f, at a point that need not be in
the support: it is the same for all samples.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal
from torch.func import vjp

from vae.distributions import OneHotCategorical, detach
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import Objective

__all__ = ["MuProp"]


class MuProp(Estimator):
    r"""Creates the MuProp estimator: the score function of what a linear approximation at the mean
    leaves, plus the exact gradient of that approximation.

    .. math:: (f(z) - f(\bar z) - f'(\bar z)^\top (z - \bar z)) \nabla \log q(z) + f'(\bar z)^\top \nabla \bar z

    Of a linear f, under an average, it is exact and without variance.

    References:
        | MuProp: Unbiased Backpropagation for Stochastic Neural Networks (Gu et al., 2016);
        | without
        | its further, learned baseline.
    """

    families = (Bernoulli, OneHotCategorical, Normal)
    needs_gradient = True
    evaluations = "K + 1"
    paper = "Gu et al. 2016"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z, frozen, mean = q.sample(torch.Size([objective.num_samples])), detach(q), q.mean
        # Under an average the score of -log q has mean zero: dropping it costs no bias.
        fz = f(z, frozen if objective.linear else q)  # (K, B)
        bound, others = objective.reduce(fz), fz.detach()
        with torch.no_grad():  # the control variate trains neither the model nor q
            f_mean, pull = vjp(lambda z: f(z, frozen), mean.detach()[None])  # (1, B)
            (slope,) = pull(torch.ones_like(f_mean))  # (1, B, *event)
            at_mean = f_mean.expand_as(others)
            h, pull = vjp(lambda a: objective.share(others, a), at_mean)
            (weight,) = pull(torch.ones_like(h))  # h_k' at the mean, (K, B)
            linear = (slope * (z - mean)).reshape(*h.shape, -1).sum(-1)  # (K, B)
            signal = objective.signal(others, at_mean) - weight * linear
        path = (slope[0] * mean).reshape(*bound.shape, -1).sum(-1)  # (B,)
        surrogate = (signal * q.log_prob(z)).sum(0) + weight.sum(0) * path
        return Estimate(attach(bound, surrogate))
