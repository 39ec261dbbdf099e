r"""The score function with f at the mode of q as its baseline.

.. math:: \big(f(z) - f(\hat z)\big) \nabla \log q(z), \qquad \hat z = \arg\max_z q(z)

What is better than the most probable choice is made more probable. The mode depends on q, and not
on the sample, so that nothing is learned and a single sample will do, for one more evaluation of f.
With several samples each is compared with the same mode, in its own share of the objective.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import base_of, describe, detach
from vae.distributions.special import one_hot
from vae.distributions.subsets import Subset
from vae.estimators.base import Estimate, Estimator, Integrand, attach, without_score
from vae.objectives import Objective

__all__ = ["SelfCritical", "most_probable_value"]


@singledispatch
def most_probable_value(q: Distribution) -> Tensor:
    """The mode of a discrete family, with shape ``batch_shape + event_shape``.

    Raises:
        NotImplementedError: If the family is not a known one.
    """
    raise NotImplementedError(f"{describe(q)} has no mode that is known")


@most_probable_value.register
def _(q: Bernoulli) -> Tensor:
    return (q.logits > 0).to(q.logits.dtype)


@most_probable_value.register
def _(q: OneHotCategorical) -> Tensor:
    return one_hot(q.logits.argmax(-1), q.logits)


@most_probable_value.register
def _(q: Subset) -> Tensor:
    return q.mode


class SelfCritical(Estimator):
    """Creates the self-critical score function.

    The authors train captions, whose greedy decoding stands for the mode.

    References:
        | Self-critical Sequence Training for Image Captioning (Rennie et al., 2017;
        | https://arxiv.org/abs/1612.00563).
    """

    families = (Bernoulli, OneHotCategorical, Subset)
    paper = "Rennie et al. 2017"

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return K + 1

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = q.sample(Size([objective.num_samples]))
        fz = f(z, without_score(q, objective))  # (K, B)
        with torch.no_grad():
            at_mode = f(most_probable_value(base_of(q))[None], detach(q)).expand_as(fz)
            signal = objective.signal(fz.detach(), at_mode)
        return Estimate(attach(objective.reduce(fz), (signal * q.log_prob(z)).sum(0)))
