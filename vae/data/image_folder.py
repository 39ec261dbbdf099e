"""ImageFolder as a Lightning data module."""

from __future__ import annotations

from vae.data.images.image_folder import ImageFolder
from vae.data.module import ImageDataModule

__all__ = ["ImageFolderDataModule"]


class ImageFolderDataModule(ImageFolder, ImageDataModule):
    """The images in a folder, or in a zip, to train on.

    See :class:`vae.data.images.image_folder.ImageFolder`.
    """
