"""Short names of the latent layers, for tables and titles."""

from __future__ import annotations

from functools import partial

from vae.models.catalogue import LATENTS
from vae.models.latents.base import Latent

__all__ = ["LAYERS"]


LAYERS: dict[str, partial[Latent]] = {name: part.factory() for name, part in LATENTS.items()}
"""From the width of the features to a small layer of each family."""
