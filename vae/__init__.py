"""Gaussian and discrete variational autoencoders, with gradient estimators one can trust and
compare."""

from vae.estimators import ESTIMATORS, Estimate, Estimator
from vae.families import FAMILIES
from vae.latents import LATENTS, Latent
from vae.likelihoods import LIKELIHOODS, Likelihood
from vae.model import VAE
from vae.objectives import ELBO, IWAE, OBJECTIVES, Objective

__all__ = [
    "ELBO",
    "ESTIMATORS",
    "FAMILIES",
    "IWAE",
    "LATENTS",
    "LIKELIHOODS",
    "OBJECTIVES",
    "VAE",
    "Estimate",
    "Estimator",
    "Latent",
    "Likelihood",
    "Objective",
]
