"""Latent-distribution layers, one family a file."""

from vae.models.latents.base import Latent
from vae.models.latents.beta import BetaLatent
from vae.models.latents.binary import Binary
from vae.models.latents.dirichlet import DirichletLatent
from vae.models.latents.gamma import GammaLatent
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.hierarchy import Hierarchy
from vae.models.latents.one_hot import OneHot
from vae.models.latents.poisson import PoissonLatent
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.latents.von_mises import VonMisesLatent

__all__ = [
    "BetaLatent",
    "Binary",
    "DiagonalGaussian",
    "DirichletLatent",
    "GammaLatent",
    "Hierarchy",
    "Latent",
    "OneHot",
    "PoissonLatent",
    "RelaxedOneHot",
    "VonMisesLatent",
]
