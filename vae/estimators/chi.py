r"""The gradient of the chi upper bound, by normalised importance weights.

The bound of Dieng et al., without its estimate by K samples, has the gradient

.. math:: \nabla_\phi \frac1n \log \mathbb{E}_q[w^n] = -\frac{n - 1}{n} \, \mathbb{E}_\pi[\nabla_\phi \log q(z)],
    \qquad \pi(z) \propto q(z) \, w(z)^n, \quad w = \frac{p(x, z)}{q(z|x)}

:math:`\mathbb{E}_\pi` is estimated by K samples of q with normalised weights :math:`w^n`. The weights are
positive, so that q is always drawn to where it lacks mass, whatever K is; the error is O(1/K). The
gradient of the K-sample estimate :class:`vae.CUBO` itself, which other estimators have in the mean, is
another: of one sample that estimate is the ELBO, which q would then lower.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.distributions.operations import detach
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import CUBO, Objective

__all__ = ["ChiVI"]


class ChiVI(Estimator):
    r"""Creates the self-normalised estimator of the chi bound's gradient.

    .. math:: \frac{n - 1}{n} \sum_k \frac{w_k^n}{\sum_j w_j^n} \nabla_\phi \log q(z_k)

    The authors divide :math:`w^n` by its largest value in place of its sum, which is another
    step size for each image.

    References:
        | Variational Inference via chi Upper Bound Minimization (Dieng et al., 2017), algorithm 1
        | (https://arxiv.org/abs/1611.00328).
    """

    objectives = (CUBO,)
    bias = (
        "the gradient of the chi bound in the limit of many samples, not of its K-sample estimate"
    )
    min_samples = 2  # the weight of a single sample is 1: its score is noise of mean zero
    paper = "Dieng et al. 2017"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        assert isinstance(objective, CUBO)
        z = q.sample(torch.Size([objective.num_samples]))  # (K, B, *event)
        fz = f(z, detach(q))  # (K, B)
        bound = objective.reduce(fz)
        v = -objective.weights(fz.detach())  # (K, B), sums to 1
        score = (v * q.log_prob(z)).sum(0)
        return Estimate(attach(bound, (1 - 1 / objective.order) * score))
