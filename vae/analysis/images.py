"""Grids of reconstructions and samples, as image tensors ``(3, H, W)`` in [0, 1], and their files.

They look as torchvision's ``make_grid`` and ``save_image`` draw them, to the bit; to import
torchvision takes as long as to import torch.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from vae.models.vae import VAE
from vae.whole_files import replacing

__all__ = ["image_file", "reconstruction_grid", "sample_grid", "write_image"]

GAP = 0.5
"""The grey between images."""

WIDTH = 4
"""Of the gap, in pixels."""


def image_file(path: Path) -> Path:
    """The path of a picture to be written.

    Raises:
        ValueError: If the suffix is that of no image format.
    """
    path = path.expanduser()
    if path.suffix.lower() not in Image.registered_extensions():
        raise ValueError(f"unknown file extension: {path.suffix or 'none'}; use .png")
    return path


def write_image(image: Tensor, path: Path) -> None:
    """Writes an image ``(3, H, W)`` in [0, 1] to a file, in the format of its suffix, whole.

    Raises:
        OSError: If it cannot be written.
    """
    levels = image.detach().mul(255).add_(0.5).clamp_(0, 255).to("cpu", torch.uint8)
    kind = Image.registered_extensions()[path.suffix.lower()]
    with replacing(path) as file:
        Image.fromarray(levels.permute(1, 2, 0).numpy()).save(file, kind)


def _grid(images: Tensor, columns: int) -> Tensor:
    """A grid of images ``(N, C, H, W)`` with gaps around them; small ones are magnified.

    A single image has no gap.
    """
    scale = max(1, 56 // images.shape[-1])
    images = images.clamp(0, 1).repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    if len(images) == 1:
        return images[0]
    missing = -len(images) % columns  # in the last row
    images = torch.cat([images, images.new_full((missing, *images.shape[1:]), GAP)])
    cells = pad(images, (WIDTH, 0, WIDTH, 0), value=GAP)  # each with the gap before it
    cells = cells.unflatten(0, (-1, columns)).permute(2, 0, 3, 1, 4)  # (C, rows, H, columns, W)
    return pad(cells.flatten(1, 2).flatten(2, 3), (0, WIDTH, 0, WIDTH), value=GAP)


def reconstruction_grid(vae: VAE, x: Tensor, columns: int = 16) -> Tensor:
    """Rows of originals, each above the mean of p(x|z) at one hard sample z of q(z|x)."""
    mean = vae(x)
    columns = min(columns, len(x))
    missing = -len(x) % columns  # in the last row, which is filled up in the colour of the gaps
    x, mean = (torch.cat([t, t.new_full((missing, *t.shape[1:]), GAP)]) for t in (x, mean))
    rows = [
        row for pair in zip(x.split(columns), mean.split(columns), strict=True) for row in pair
    ]
    return _grid(torch.cat(rows), columns)


def sample_grid(vae: VAE, count: int, columns: int = 16) -> Tensor:
    """Means of p(x|z) at latents drawn from the prior; needs no data."""
    return _grid(vae.sample(count), min(columns, count))
