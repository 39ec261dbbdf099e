r"""Implicit maximum likelihood: the difference of two subsets that share their noise.

A subset is drawn by perturb-and-MAP: the k largest of the logits :math:`\theta` with noise. The target
distribution has logits that lie a step along the slope of f, and

.. math:: \nabla_\theta \mathbb{E}[f] \approx \tfrac1\lambda \mathbb{E}_\epsilon\big[
    \mathrm{MAP}(\theta + \lambda \nabla f(z) + \epsilon) - z \big],
    \qquad z = \mathrm{MAP}(\theta + \epsilon),

the gradient of the log-likelihood of the target's subsets. Of a linear f it is the difference
quotient :math:`(\mu(\theta + \lambda \nabla f) - \mu(\theta)) / \lambda` of the mean :math:`\mu` of
perturb-and-MAP, whose limit as :math:`\lambda` falls is the gradient. The smaller :math:`\lambda` is,
the fewer subsets differ, and the larger the variance.

With Gumbel noise MAP draws from :class:`PlackettLuceSubset`. For :class:`ConditionalBernoulli` the
noise is the authors' sum-of-gamma,

.. math:: \epsilon_i = \tfrac1k \Big( \sum_{t=1}^T \mathrm{Gamma}(1/k, \text{scale } k/t) - \log T \Big),

of which k add up to a Gumbel variable. Independent Gumbel variables, one a subset, would draw from q;
these are not independent, and the samples of MAP are other ones than q's: sharper, at a total variation
of 0.17 from q on a law of 2 of 5 items (with Gumbel noise 0.04).
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.func import vjp

from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.distributions.one_hot import gumbel_like
from vae.distributions.operations import base_of, describe, logits_of
from vae.distributions.plackett_luce import PlackettLuceSubset
from vae.distributions.special import change
from vae.distributions.subsets import top
from vae.estimators.base import Estimate, Estimator, Integrand, attach, without_score
from vae.objectives import Objective
from vae.ranges import assert_positive

__all__ = ["ImplicitMLE"]


TERMS = 10
"""Of the sum of gamma variables, as the authors have it."""


class ImplicitMLE(Estimator):
    r"""Creates the I-MLE estimator of k-subsets.

    The step is that of the logits, a multiple of the slope of f at each sample, in nats: it depends
    on neither K nor the number of images. (The authors take the slope of the batch's mean loss.)

    References:
        | Implicit MLE: Backpropagating Through Discrete Exponential Family Distributions (Niepert,
        | Minervini & Franceschi, 2021), sections 3.2 and 3.3 (https://arxiv.org/abs/2106.01798).

    Arguments:
        step: :math:`\lambda > 0`, how far along the slope of f the target distribution lies.
    """

    families = (ConditionalBernoulli, PlackettLuceSubset)
    needs_gradient = True
    paper = "Niepert et al. 2021"
    bias = (
        "difference quotient of the mean of perturb-and-MAP, over a step of the logits along f'(z)"
    )

    def __init__(self, step: float = 1.0) -> None:
        super().__init__()
        assert_positive("step", step)
        self.step = step

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        base: Any = base_of(q)
        logits, K = logits_of(q), objective.num_samples
        with torch.no_grad():
            perturbed = logits + map_noise(base, Size([K]))  # (K, B, *event)
            z = top(perturbed, base.k)
        seen = without_score(q, objective)
        fz, pull = vjp(lambda z: f(z, seen), z)  # (K, B)
        value = fz.detach()
        with torch.no_grad():
            (slope,) = pull(torch.ones_like(value))
            moved = top(perturbed + self.step * slope, base.k) - z
            weight = objective.weights(value).reshape(value.shape + (1,) * (z.dim() - 2))
            pulled = weight * moved / self.step
        surrogate = (pulled * change(logits)).flatten(2).sum((0, -1))
        return Estimate(attach(objective.reduce(fz), surrogate))


@singledispatch
def map_noise(q: Distribution, sample_shape: Size) -> Tensor:
    """The noise of the logits of ``q``, with which their k largest are a draw, or close to one."""
    raise NotImplementedError(f"{describe(q)} has no perturb-and-MAP")


@map_noise.register
def _(q: PlackettLuceSubset, sample_shape: Size) -> Tensor:
    return gumbel_like(q.logits, q._extended_shape(sample_shape))


@map_noise.register
def _(q: ConditionalBernoulli, sample_shape: Size) -> Tensor:
    shape = q._extended_shape(sample_shape)
    total = torch.full(shape, -math.log(TERMS), dtype=q.logits.dtype, device=q.logits.device)
    alpha = torch.full_like(total, 1 / q.k)
    for t in range(1, TERMS + 1):
        total = total + torch._standard_gamma(alpha) * (q.k / t)
    return total / q.k
