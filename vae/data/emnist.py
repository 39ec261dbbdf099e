"""EMNIST as a Lightning data module."""

from __future__ import annotations

from vae.data.images.emnist import EMNIST
from vae.data.module import ImageDataModule

__all__ = ["EMNISTDataModule"]


class EMNISTDataModule(EMNIST, ImageDataModule):
    """EMNIST's handwritten letters and digits of 28 x 28 pixels, to train on.

    See :class:`vae.data.images.emnist.EMNIST`.
    """
