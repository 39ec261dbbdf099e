"""CIFAR10 as a Lightning data module."""

from __future__ import annotations

from vae.data.images.cifar10 import CIFAR10
from vae.data.module import ImageDataModule

__all__ = ["CIFAR10DataModule"]


class CIFAR10DataModule(CIFAR10, ImageDataModule):
    """CIFAR-10's colour images of 32 x 32 pixels, to train on.

    See :class:`vae.data.images.cifar10.CIFAR10`.
    """
