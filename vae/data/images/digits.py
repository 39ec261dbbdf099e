"""scikit-learn's digits of 8 x 8 pixels."""

from __future__ import annotations

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
        from sklearn.datasets import load_digits  # takes a second to import

        grey = torch.from_numpy(load_digits().images)  # (1797, 8, 8), levels 0..16
        images = (grey * (255 / 16)).round().to(torch.uint8).unsqueeze(1)
        order = torch.randperm(
            len(images), generator=torch.Generator().manual_seed(0)
        )  # the file is sorted by writer
        train, val, test = images[order].split([1297, 250, 250])
        return {"train": train, "val": val, "test": test}
