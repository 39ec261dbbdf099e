"""Names of the latent layers."""

from __future__ import annotations

from vae.models.latents.base import Latent
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.relaxed_one_hot import RelaxedOneHot

__all__ = ["LATENTS"]


LATENTS: dict[str, type[Latent]] = {
    "gaussian": DiagonalGaussian,
    "binary": Binary,
    "one_hot": OneHot,
    "relaxed_one_hot": RelaxedOneHot,
}
