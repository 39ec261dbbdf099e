"""Beta-binomial pixels of 256 grey levels."""

from __future__ import annotations

from torch import Tensor
from torch import distributions as D
from torch.nn.functional import logsigmoid

from vae.distributions.beta_binomial import BetaBinomial as BetaBinomialDistribution
from vae.models.likelihoods.base import Likelihood

__all__ = ["BetaBinomial"]


LIMIT = 9.0
"""Of the absolute value of the logarithm of a concentration."""


class BetaBinomial(Likelihood):
    r"""Creates independent beta-binomial pixels of 256 grey levels.

    A level k is the number of heads in 255 tosses of a coin, whose chance of heads is drawn from a
    beta distribution first. The decoder gives the logit of the mean and the logarithm of the sum of
    the two concentrations, whose own logarithms are kept within 9 of 0 by a hyperbolic tangent.

    .. math:: P(k) = \binom{255}{k} \frac{B(k + \alpha, 255 - k + \beta)}{B(\alpha, \beta)}

    References:
        | Practical Lossless Compression with Latent Variables using Bits Back Coding (Townsend, Bird
        | & Barber, 2019), section 3.1 (https://arxiv.org/abs/1901.04866).
    """

    channels = 2
    levels = 256

    def pixels(self, parameters: Tensor) -> D.Distribution:
        logits, log_total = parameters  # each (*, *image)
        high, low = (
            (LIMIT * ((log_total + logsigmoid(l)) / LIMIT).tanh()).exp() for l in (logits, -logits)
        )
        return BetaBinomialDistribution(high, low, validate_args=False)
