"""Continuous Bernoulli pixels: the cross-entropy of grey images, normalised."""

from __future__ import annotations

from torch import Tensor
from torch import distributions as D

from vae.distributions.continuous_bernoulli import (
    ContinuousBernoulli as ContinuousBernoulliDistribution,
)
from vae.models.likelihoods.base import Likelihood

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(Likelihood):
    """Creates independent continuous Bernoulli pixels on [0, 1], for grey images.

    Their density is the cross-entropy, normalised.

    References:
        | The continuous Bernoulli (Loaiza-Ganem & Cunningham, 2019)
        | (https://arxiv.org/abs/1907.06845).
    """

    def pixels(self, parameters: Tensor) -> D.Distribution:
        return ContinuousBernoulliDistribution(parameters[0], validate_args=False)
