"""Latent-distribution layers, one family a file."""

from vae.models.latents.base import Latent
from vae.models.latents.beta import BetaLatent
from vae.models.latents.binary import Binary
from vae.models.latents.dirichlet import DirichletLatent
from vae.models.latents.finite_scalar import FiniteScalarQuantized
from vae.models.latents.flow import FlowLatent
from vae.models.latents.full_gaussian import FullGaussian
from vae.models.latents.gamma import GammaLatent
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.gaussian_mixture import GaussianMixtureLatent
from vae.models.latents.hierarchy import Hierarchy
from vae.models.latents.kumaraswamy import KumaraswamyLatent
from vae.models.latents.laplace import LaplaceLatent
from vae.models.latents.logistic_normal import LogisticNormalLatent
from vae.models.latents.misvae import MISVAELatent
from vae.models.latents.one_hot import OneHot
from vae.models.latents.poisson import PoissonLatent
from vae.models.latents.power_spherical import PowerSphericalLatent
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.latents.subset import ConditionalBernoulliLatent, PlackettLuceLatent
from vae.models.latents.vector_quantized import VectorQuantized
from vae.models.latents.von_mises import VonMisesLatent

__all__ = [
    "BetaLatent",
    "Binary",
    "ConditionalBernoulliLatent",
    "DiagonalGaussian",
    "DirichletLatent",
    "FiniteScalarQuantized",
    "FlowLatent",
    "FullGaussian",
    "GammaLatent",
    "Hierarchy",
    "GaussianMixtureLatent",
    "KumaraswamyLatent",
    "LaplaceLatent",
    "Latent",
    "LogisticNormalLatent",
    "MISVAELatent",
    "OneHot",
    "PlackettLuceLatent",
    "PoissonLatent",
    "PowerSphericalLatent",
    "RelaxedOneHot",
    "VectorQuantized",
    "VonMisesLatent",
]
