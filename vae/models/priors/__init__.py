"""Priors in place of a latent layer's own, one a file."""

from vae.models.prior import Posterior, Prior
from vae.models.priors.autoregressive import AutoregressivePrior
from vae.models.priors.flow import FlowPrior
from vae.models.priors.mixture import MixturePrior
from vae.models.priors.vamp import VampPrior

__all__ = [
    "AutoregressivePrior",
    "FlowPrior",
    "MixturePrior",
    "Posterior",
    "Prior",
    "VampPrior",
]
