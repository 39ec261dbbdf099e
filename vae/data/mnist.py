"""MNIST as a Lightning data module."""

from __future__ import annotations

from vae.data.images.mnist import MNIST
from vae.data.module import ImageDataModule

__all__ = ["MNISTDataModule"]


class MNISTDataModule(MNIST, ImageDataModule):
    """MNIST's 70,000 images of 28 x 28 pixels, to train on.

    See :class:`vae.data.images.mnist.MNIST`.
    """
