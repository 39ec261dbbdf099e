"""Whether the images of a data set are centred, as MNIST's are, so that a drawing must be too."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["centre_of_mass"]

LARGEST_SPREAD = 0.03
"""Of centres of mass, in parts of an image's side: 0.01 of MNIST's digits, 0.05 of 8 x 8 digits."""


def centre_of_mass(batches: Iterable[Tensor]) -> list[float] | None:
    """Where images have their centre of mass, if all have it at one place.

    Arguments:
        batches: Images ``(B, C, H, W)``.

    Returns:
        Parts of the height and of the width; None where the standard deviation of either is more than
        3 % of the image's side, or of fewer than two images.
    """
    found = torch.cat([_centres(x) for x in batches])
    if len(found) < 2 or float(found.std(0).max()) > LARGEST_SPREAD:
        return None
    return found.mean(0).tolist()  # type: ignore[no-any-return]


def _centres(x: Tensor) -> Tensor:
    """In parts of the sides, ``(B, 2)``, of the images that are not black."""
    x = x.detach().double().cpu().mean(1)
    mass = x.sum((1, 2))
    places = [(torch.arange(size, dtype=x.dtype) + 0.5) / size for size in x.shape[1:]]
    moments = torch.stack([x.sum(2) @ places[0], x.sum(1) @ places[1]], -1)
    return moments[mass > 0] / mass[mass > 0, None]
