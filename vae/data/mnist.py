"""MNIST, and the sets that were made in its format, as Lightning data modules."""

from __future__ import annotations

from vae.data.images.mnist import KMNIST, MNIST, FashionMNIST
from vae.data.module import ImageDataModule

__all__ = ["FashionMNISTDataModule", "KMNISTDataModule", "MNISTDataModule"]


class MNISTDataModule(MNIST, ImageDataModule):
    """MNIST's 70,000 images of 28 x 28 pixels, to train on.

    See :class:`vae.data.images.mnist.MNIST`.
    """


class FashionMNISTDataModule(FashionMNIST, ImageDataModule):
    """Fashion-MNIST's 70,000 images of 28 x 28 pixels, to train on.

    See :class:`vae.data.images.mnist.FashionMNIST`.
    """


class KMNISTDataModule(KMNIST, ImageDataModule):
    """Kuzushiji-MNIST's 70,000 images of 28 x 28 pixels, to train on.

    See :class:`vae.data.images.mnist.KMNIST`.
    """
