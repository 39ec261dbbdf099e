"""Modules with few options: they choose the parts of a :class:`~vae.training.module.VAEModule` from
words and numbers, and differ only in the latent layer."""

from vae.training.presets.base import Preset
from vae.training.presets.continuous import ContinuousVAE
from vae.training.presets.discrete import DiscreteVAE
from vae.training.presets.gaussian import GaussianVAE

__all__ = ["ContinuousVAE", "DiscreteVAE", "GaussianVAE", "Preset"]
