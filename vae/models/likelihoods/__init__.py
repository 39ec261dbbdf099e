"""Likelihoods, one family of pixels a file."""

from vae.models.likelihoods.base import Likelihood, assert_defined
from vae.models.likelihoods.bernoulli import Bernoulli
from vae.models.likelihoods.beta_binomial import BetaBinomial
from vae.models.likelihoods.continuous_bernoulli import ContinuousBernoulli
from vae.models.likelihoods.gaussian import Gaussian, HeteroscedasticGaussian
from vae.models.likelihoods.logistic_mixture import LogisticMixture

__all__ = [
    "Bernoulli",
    "BetaBinomial",
    "ContinuousBernoulli",
    "Gaussian",
    "HeteroscedasticGaussian",
    "Likelihood",
    "LogisticMixture",
    "assert_defined",
]
