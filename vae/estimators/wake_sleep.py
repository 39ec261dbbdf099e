r"""Reweighted wake-sleep, with the wake-phase update of q ("wake-wake").

Two objectives instead of one. The model follows the importance-weighted bound; q follows the
forward divergence :math:`\mathrm{KL}(p(z|x) \,\|\, q(z|x))`, whose gradient
:math:`-\mathbb{E}_{p(z|x)}[\nabla_\phi \log q(z)]` is estimated by self-normalised importance
sampling from q,

.. math:: \sum_k v_k \nabla_\phi \log q(z_k), \qquad v_k = \frac{w_k}{\sum_j w_j}, \quad w_k = \frac{p(x, z_k)}{q(z_k)}

No score of a discrete choice is weighed by a *cost*, and it gets better with every sample: the
error of self-normalisation is O(1/K). But it is not the gradient of the bound, at any K; of the
true forward divergence it is the gradient in the limit only.

Where q has no mass, no sample will say that it should have some. Defensive importance sampling draws
a part of them from a uniform law.

The sleep-phase update of q has no place here: it draws :math:`(z, x)` from the model and needs q
at an x that was dreamt, where an estimator is given q and f of the images at hand.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution
from torch.distributions.constraints import Constraint
from torch.types import _size

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import detach, logits_of, with_logits
from vae.distributions.special import finite
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import LogMeanExp, Objective

__all__ = ["DefensiveWakeWake", "WakeSleep"]


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

    def proposal(self, q: Distribution) -> Distribution:
        """What the samples are drawn from."""
        return detach(q)

    def follower(self, q: Distribution) -> Distribution:
        """What is drawn to the weighed samples: q, with finite log-probabilities of all of them."""
        return q

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        proposal = self.proposal(q)  # detached: the bound trains the model only
        z = proposal.sample(Size([objective.num_samples]))  # (K, B, *event)
        fz = f(z, proposal)  # (K, B)
        bound = objective.reduce(fz)
        v = objective.weights(fz.detach())  # (K, B), sums to 1
        return Estimate(attach(bound, (v * self.follower(q).log_prob(z)).sum(0)))


class _Defended(Distribution):
    r"""The mixture :math:`(1 - \delta) \, q + \delta \, u` of two laws over the same values."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, q: Distribution, u: Distribution, delta: float) -> None:
        super().__init__(q.batch_shape, q.event_shape, validate_args=False)
        self.q, self.u, self.delta = q, u, delta

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        z, uniform = self.q.sample(sample_shape), self.u.sample(sample_shape)
        number = torch.rand(z.shape[: -len(self.event_shape)], device=z.device)
        number = number.reshape(*number.shape, *[1] * len(self.event_shape))
        return torch.where(number < self.delta, uniform, z)

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.logaddexp(
            self.q.log_prob(value) + math.log1p(-self.delta),
            self.u.log_prob(value) + math.log(self.delta),
        )


class DefensiveWakeWake(WakeSleep):
    r"""Creates the defensive wake-wake estimator: reweighted wake-sleep with a broader proposal.

    .. math:: z_k \sim (1 - \delta) \, q + \delta \, u, \qquad w_k = \frac{p(x, z_k)}{(1 - \delta) \, q(z_k) + \delta \, u(z_k)}

    with the uniform law u over all joint configurations: while :math:`q` has lost a mode of the
    posterior, it is still found. The target is that of :class:`WakeSleep`. The bound, and with it
    the model's gradient, is the importance-weighted one with the mixture as its proposal: a lower
    bound on log p(x) too, but not the one that q has.

    The authors have one variable of some categories and :math:`\delta = 0.2`. Of D independent
    variables, each of C^D configurations has :math:`\delta / C^D`, and a uniform sample is unlikely
    to be of use.

    References:
        | Revisiting Reweighted Wake-Sleep for Models with Stochastic Control Flow (Le et al.,
        | 2019; https://arxiv.org/abs/1805.10469).

    Arguments:
        delta: The share of uniform samples, between 0 and 1.
    """

    families = (Bernoulli, OneHotCategorical)
    paper = "Le et al. 2019"

    def __init__(self, delta: float = 0.2) -> None:
        super().__init__()
        if not 0 < delta < 1:
            raise ValueError(f"delta must be in (0, 1), got {delta}")
        self.delta = delta

    def proposal(self, q: Distribution) -> Distribution:
        frozen = detach(q)
        return _Defended(frozen, with_logits(q, torch.zeros_like(logits_of(frozen))), self.delta)

    def follower(self, q: Distribution) -> Distribution:
        return with_logits(q, finite(logits_of(q)))  # a uniform sample may be impossible under q
