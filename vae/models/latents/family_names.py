"""Names of the continuous families."""

from __future__ import annotations

from vae.models.latents.base import Latent
from vae.models.latents.beta import BetaLatent
from vae.models.latents.dirichlet import DirichletLatent
from vae.models.latents.gamma import GammaLatent
from vae.models.latents.poisson import PoissonLatent
from vae.models.latents.von_mises import VonMisesLatent

__all__ = ["FAMILIES"]


FAMILIES: dict[str, type[Latent]] = {
    "gamma": GammaLatent,
    "beta": BetaLatent,
    "dirichlet": DirichletLatent,
    "von_mises": VonMisesLatent,
    "poisson": PoissonLatent,
}
