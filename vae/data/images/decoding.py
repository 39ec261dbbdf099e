"""Image files as tensors of one size."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy
import torch
from torch import Tensor

from vae.data.batch import DataError

__all__ = ["decoded", "opened"]


def opened(content: bytes, name: str) -> Any:
    """An image as Pillow has it, upright.

    Raises:
        DataError: If it cannot be read, or has more than 8 bits a colour.
    """
    from PIL import Image, ImageOps

    try:
        image = Image.open(BytesIO(content))
        image.load()
        if image.mode == "F" or image.mode.startswith("I"):
            raise ValueError("more than 8 bits a colour: convert it")
        return ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow's, of many kinds
        reason = str(error).partition(" <_io")[0]
        raise DataError(f"{name} is no image that can be read ({reason})") from None


def decoded(
    content: bytes, name: str, shape: tuple[int, int, int], size: tuple[int, int] | None
) -> Tensor:
    """The pixels of an image file, uint8 ``(C, H, W)``.

    Arguments:
        content: The file's.
        name: Its name, for messages.
        shape: That of all images.
        size: Height and width to bring it to; None if it must have those of ``shape``.

    Raises:
        DataError: If it cannot be read, or has another size.
    """
    from PIL import Image, ImageOps

    image = opened(content, name)
    channels, height, width = shape
    image = image.convert("L" if channels == 1 else "RGB")
    if size is not None:
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    if image.size != (width, height):
        raise DataError(
            f"{name} is {image.size[0]} x {image.size[1]} pixels, and the first image {width} x"
            f" {height}: give --data.size, to which all are brought"
        )
    pixels = torch.from_numpy(numpy.array(image))
    return pixels.unsqueeze(0) if channels == 1 else pixels.permute(2, 0, 1)
