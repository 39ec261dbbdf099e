"""scikit-learn's digits of 8 x 8 pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vae.data.images.memory import ImagesInMemory

__all__ = ["Digits"]


class Digits(ImagesInMemory):
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels.

    1,297 are to train, 250 to validate and 250 to test.

    References:
        | https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits
    """

    image_shape = (1, 8, 8)

    def load(self) -> dict[str, Tensor]:
        grey = torch.from_numpy(_file().images)  # (1797, 8, 8), levels 0..16
        return _splits((grey * (255 / 16)).round().to(torch.uint8).unsqueeze(1))

    def load_labels(self) -> dict[str, Tensor]:
        return _splits(torch.from_numpy(_file().target).long())


def _file() -> Any:
    from sklearn.datasets import load_digits  # takes a second to import

    return load_digits()


def _splits(rows: Tensor) -> dict[str, Tensor]:
    """The rows of the file in three parts; the file is sorted by writer, so they are mixed first."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    train, val, test = rows[order].split([1297, 250, 250])
    return {"train": train, "val": val, "test": test}
