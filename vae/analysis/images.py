"""Grids of reconstructions and samples, as image tensors ``(3, H, W)`` in [0, 1].

``torchvision.utils.save_image`` writes them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from vae.models.vae import VAE

__all__ = ["image_file", "reconstruction_grid", "sample_grid"]

GAP = 0.5
"""The grey between images."""


def image_file(path: Path) -> Path:
    """The path of a picture to be written; its folder is made.

    Raises:
        ValueError: If the suffix is that of no image format; then no folder is made.
    """
    path = path.expanduser()
    if path.suffix.lower() not in Image.registered_extensions():
        raise ValueError(f"unknown file extension: {path.suffix or 'none'}; use .png")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _grid(images: Tensor, columns: int) -> Tensor:
    """A grid of images ``(N, *image)``; small ones are magnified."""
    scale = max(1, 56 // images.shape[-1])
    images = images.clamp(0, 1).repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    return make_grid(images, nrow=columns, padding=4, pad_value=GAP)


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
