"""Presets of the VAEModule, which choose its parts from words and numbers."""

from vae.training.presets.base import Preset
from vae.training.presets.continuous import ContinuousVAE
from vae.training.presets.discrete import DiscreteVAE
from vae.training.presets.gaussian import GaussianVAE

__all__ = ["ContinuousVAE", "DiscreteVAE", "GaussianVAE", "Preset"]
