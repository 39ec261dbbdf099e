"""Every part that the library has, by a short name: what tests go through."""

from vae.models.latents.beta import BetaLatent
from vae.models.latents.binary import Binary
from vae.models.latents.dirichlet import DirichletLatent
from vae.models.latents.gamma import GammaLatent
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.poisson import PoissonLatent
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.latents.von_mises import VonMisesLatent
from vae.models.likelihoods import (
    Bernoulli,
    BetaBinomial,
    ContinuousBernoulli,
    Gaussian,
    HeteroscedasticGaussian,
    LogisticMixture,
)
from vae.models.networks import (
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    ResidualDecoder,
    ResidualEncoder,
)

LATENTS = {
    "gaussian": DiagonalGaussian,
    "binary": Binary,
    "one_hot": OneHot,
    "relaxed_one_hot": RelaxedOneHot,
}

FAMILIES = {
    "gamma": GammaLatent,
    "beta": BetaLatent,
    "dirichlet": DirichletLatent,
    "von_mises": VonMisesLatent,
    "poisson": PoissonLatent,
}

LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "heteroscedastic_gaussian": HeteroscedasticGaussian,
    "logistic_mixture": LogisticMixture,
    "beta_binomial": BetaBinomial,
}

NETWORKS = {
    "mlp": (MLPEncoder, MLPDecoder),
    "conv": (ConvEncoder, ConvDecoder),
    "residual": (ResidualEncoder, ResidualDecoder),
}
