"""Takes the images out of a data loader's batch, and refuses a batch without images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["DataError", "assert_pixels", "batches_in", "images_in"]


TOLERANCE = 1e-6
"""How far a pixel may be outside [0, 1]: resizing an image rounds."""


class DataError(ValueError):
    """A data module serves something other than images, or fails."""


def images_in(batch: Any, source: str = "the data", shape: Any = None) -> Tensor:
    """The images of a batch: the batch itself, or its first part, as of ``(images, labels)``.

    Arguments:
        batch: What a data loader yields.
        source: The name of the data module, for the message.
        shape: The shape ``(C, H, W)`` that the images must have, or None for any.

    Returns:
        Floating-point images ``(B, C, H, W)``. Their values are not looked at.

    Raises:
        DataError: If it holds no such images.
    """
    images = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
    wanted = "expected float images (B, C, H, W) in [0, 1], or (images, labels)"
    if not isinstance(images, Tensor):
        found = type(images).__name__
        if isinstance(batch, (tuple, list)):
            found = f"{type(batch).__name__} that begins with {found}" if batch else "nothing"
        raise DataError(f"{source} serves batches of {found}: {wanted}")
    if not images.is_floating_point():
        kind = str(images.dtype).removeprefix("torch.")
        what = f"{kind} images" if images.dim() == 4 else f"{kind} of shape {tuple(images.shape)}"
        raise DataError(f"{source} serves {what}: {wanted}")
    if images.dim() != 4 or not images.numel():
        raise DataError(f"{source} serves batches of shape {tuple(images.shape)}: {wanted}")
    if shape is not None and tuple(images.shape[1:]) != tuple(shape):
        raise DataError(
            f"{source} serves images of shape {tuple(images.shape[1:])}, not {tuple(shape)}"
        )
    return images


def batches_in(batch: Any) -> Iterable[Tensor]:
    """The batches of images in what a trainer calls a batch: one, or a group of several steps'.

    Raises:
        DataError: If it holds no images.
    """
    one = isinstance(batch, (Tensor, tuple, list, dict))
    return [images_in(batch)] if one else batch


def assert_pixels(images: Tensor, source: str) -> None:
    """Refuses pixels outside [0, 1]. On a GPU, it waits for them.

    Raises:
        DataError: If there is one, or a NaN.
    """
    least, most = (float(value) for value in torch.aminmax(images.detach()))
    if least != least:  # NaN
        raise DataError(f"{source} serves images with NaN in them")
    if least < -TOLERANCE or most > 1 + TOLERANCE:
        raise DataError(
            f"{source} serves pixels from {least:.3g} to {most:.3g}, outside [0, 1]: scale them,"
            " and leave out any normalisation"
        )
