"""BinarizedMNIST as a Lightning data module."""

from __future__ import annotations

from vae.data.images.binarized_mnist import BinarizedMNIST
from vae.data.module import ImageDataModule

__all__ = ["BinarizedMNISTDataModule"]


class BinarizedMNISTDataModule(BinarizedMNIST, ImageDataModule):
    """MNIST binarised once by Hugo Larochelle, to train on.

    See :class:`vae.data.images.binarized_mnist.BinarizedMNIST`.
    """
