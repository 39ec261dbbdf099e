r"""Reweighted wake-sleep, with the wake-phase update of q ("wake-wake").

Two objectives instead of one. The model follows the importance-weighted bound; q follows the
forward divergence :math:`\mathrm{KL}(p(z|x) \,\|\, q(z|x))`, whose gradient
:math:`-\mathbb{E}_{p(z|x)}[\nabla_\phi \log q(z)]` is estimated by self-normalised importance
sampling from q,

.. math:: \sum_k v_k \nabla_\phi \log q(z_k), \qquad v_k = \frac{w_k}{\sum_j w_j}, \quad w_k = \frac{p(x, z_k)}{q(z_k)}

No score of a discrete choice is weighed by a *cost*, and it gets better with every sample: the
error of self-normalisation is O(1/K). But it is not the gradient of the bound, at any K; of the
true forward divergence it is the gradient in the limit only.

The sleep-phase update of q has no place here: it draws :math:`(z, x)` from the model and needs q
at an x that was dreamt, where an estimator is given q and f of the images at hand.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.distributions.operations import detach
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import LogMeanExp, Objective

__all__ = ["WakeSleep"]


class WakeSleep(Estimator):
    r"""Creates the reweighted wake-sleep estimator.

    Bornschein & Bengio take K = 5, autoregressive layers in q, and update q in the sleep phase
    too, at the same rate; Le et al. also try it without the sleep phase
    ("wake-wake"), as here.

    .. math:: \nabla_\theta = \sum_k v_k \nabla_\theta \log p(x, z_k), \qquad \nabla_\phi = \sum_k v_k \nabla_\phi \log q(z_k)

    References:
        | Reweighted Wake-Sleep (Bornschein & Bengio, 2015; https://arxiv.org/abs/1406.2751).
        | Revisiting Reweighted Wake-Sleep for Models with Stochastic Control Flow (Le et al.,
        | 2019; https://arxiv.org/abs/1805.10469).
    """

    bias = "follows KL(posterior || q), not the bound"
    objectives = (LogMeanExp,)
    min_samples = 2  # the weight of a single sample is 1: its score is noise of mean zero
    paper = "Bornschein & Bengio 2015; Le et al. 2019"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = q.sample(torch.Size([objective.num_samples]))  # (K, B, *event)
        fz = f(z, detach(q))  # (K, B): the bound trains the model only
        bound = objective.reduce(fz)
        v = objective.weights(fz.detach())  # (K, B), sums to 1
        return Estimate(attach(bound, (v * q.log_prob(z)).sum(0)))
