"""Array as a Lightning data module."""

from __future__ import annotations

from vae.data.images.array import Array
from vae.data.module import ImageDataModule

__all__ = ["ArrayDataModule"]


class ArrayDataModule(Array, ImageDataModule):
    """The images in a .npz, .npy or .pt file, to train on.

    See :class:`vae.data.images.array.Array`.
    """
