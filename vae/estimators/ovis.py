r"""OVIS: optimal control variates for the score function of importance-weighted bounds.

With normalised weights :math:`v_k = \partial R / \partial f_k = w_k / \sum_j w_j`, the gradient of
the bound is :math:`\mathbb{E}[\sum_k d_k \nabla_\phi \log q(z_k)]`, :math:`d_k = R - v_k`: the
second term is the direct dependence of the weights on q, which autograd finds in f. Both
estimators subtract a :math:`c_k` that approximates the best one that does not depend on
:math:`z_k`, :math:`\mathbb{E}_{z_k}[d_k]`. VIMCO approximates :math:`\mathbb{E}_{z_k}[R]` and
forgets :math:`v_k`; with it the signal-to-noise ratio of the gradient grows as :math:`\sqrt K`,
where the pathwise gradient's falls as :math:`1 / \sqrt K`.

OVIS-MC takes fresh samples in the place of :math:`z_k`. OVIS~ takes the limits of few and of many
effective samples:

.. math:: c_k = \log \hat Z_{-k} - \gamma v_k + (1 - \gamma) \log(1 - 1/K), \qquad \hat Z_{-k} = \frac{1}{K-1} \sum_{j \neq k} w_j

At :math:`\gamma = 0` that is :math:`c_k = R` with :math:`w_k = 0`, a function of the other
samples: the estimate is unbiased, and :math:`d_k - c_k = -\log(1 - v_k) - v_k \approx v_k^2 / 2`.
At :math:`\gamma > 0` the formula, as the authors' code has it, contains :math:`v_k` and so
:math:`z_k` itself: the mean of the estimate is the gradient of the bound *plus*
:math:`\gamma \, \mathbb{E}[\sum_k v_k \nabla \log q(z_k)]`, the wake-phase direction of reweighted
wake-sleep. It does not vanish as K grows. We keep it, by name.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.func import vjp

from vae.distributions.operations import detach
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import LogMeanExp, Objective
from vae.ranges import assert_at_least_one

__all__ = ["OVIS", "OVISMonteCarlo"]


class OVIS(Estimator):
    r"""Creates the asymptotic estimator, OVIS~, at no cost beyond the score function's.

    The authors' models, a belief network of three layers of 200 and a Gaussian VAE, have K = 5 to
    50. They also train them on the Rényi importance-weighted bound, of an order that may fall to
    that of the importance-weighted one as a warm-up; here the bound is the latter all along.

    .. math:: \sum_k \Big(\log\frac{1}{1 - v_k} - v_k + \gamma \big(v_k + \log(1 - \tfrac1K)\big)\Big) \nabla \log q(z_k)

    References:
        | Optimal Variance Control of the Score Function Gradient Estimator for Importance Weighted
        | Bounds (Liévin et al., 2020), equation 17 (https://arxiv.org/abs/2008.01998).

    Arguments:
        gamma: 0, the limit of one effective sample, for an unbiased estimate; 1, the limit of
            many, is the authors' default.
    """

    objectives = (LogMeanExp,)
    min_samples = 2
    paper = "Liévin et al. 2020"

    def __init__(self, gamma: float = 0.0) -> None:
        super().__init__()
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma must be in [0, 1], got {gamma}")
        self.gamma = gamma
        if gamma > 0:
            self.bias = f"{gamma:g} times the wake-phase direction, towards KL(posterior || q)"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = q.sample(torch.Size([objective.num_samples]))  # (K, B, *event)
        fz = f(z, q)  # (K, B)
        bound, value = objective.reduce(fz), fz.detach()
        with torch.no_grad():
            without = objective.swap_one_out(value, torch.full_like(value, -math.inf))  # w_k = 0
            # the -v_k of d_k comes with the gradient of the bound itself
            signal = bound - without
            if self.gamma > 0:
                v = objective.weights(value)  # (K, B), sums to 1
                signal = signal + self.gamma * (v + math.log1p(-1 / len(v)))
        return Estimate(attach(bound, (signal * q.log_prob(z)).sum(0)))


class OVISMonteCarlo(Estimator):
    r"""Creates the sample-based estimator, OVIS-MC: fresh samples replace each :math:`z_k` in turn.

    .. math:: c_k = \frac1S \sum_s d_k(z_1, \dots, z'_s, \dots, z_K)

    The fresh samples are independent of all others, so it is unbiased; they enter neither the
    bound nor the model's gradient.

    References:
        | Optimal Variance Control of the Score Function Gradient Estimator for Importance Weighted
        | Bounds (Liévin et al., 2020), equation 12 (https://arxiv.org/abs/2008.01998).

    Arguments:
        auxiliary_samples: S, shared by all k.
    """

    objectives = (LogMeanExp,)
    paper = "Liévin et al. 2020"

    def __init__(self, auxiliary_samples: int = 1) -> None:
        super().__init__()
        assert_at_least_one("auxiliary_samples", auxiliary_samples)
        self.auxiliary_samples = auxiliary_samples

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return K + self.auxiliary_samples

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = q.sample(torch.Size([objective.num_samples]))  # (K, B, *event)
        fz = f(z, q)  # (K, B)
        bound = objective.reduce(fz)
        with torch.no_grad():
            frozen = detach(q)
            fresh = f(q.sample(torch.Size([self.auxiliary_samples])), frozen)  # (S, B)
            shape = (len(fz), *fresh.shape)  # (K, S, B): fresh sample s in the place of k
            value = fz.detach()[:, None].expand(shape)
            h, pull = vjp(lambda a: objective.swap_one_out(value, a), fresh.expand(shape))
            (v,) = pull(torch.ones_like(h))  # its weight there
            signal = bound - (h - v).mean(1)
        return Estimate(attach(bound, (signal * q.log_prob(z)).sum(0)))
