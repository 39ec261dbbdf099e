"""Omniglot as a Lightning data module."""

from __future__ import annotations

from vae.data.images.omniglot import Omniglot
from vae.data.module import ImageDataModule

__all__ = ["OmniglotDataModule"]


class OmniglotDataModule(Omniglot, ImageDataModule):
    """Omniglot's handwritten characters, to train on.

    See :class:`vae.data.images.omniglot.Omniglot`.
    """
