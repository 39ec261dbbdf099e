"""scikit-learn's digits of 8 x 8 pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from vae.data.loader import Binarization
from vae.data.module import ImageDataModule

__all__ = ["DigitsDataModule"]


class DigitsDataModule(ImageDataModule):
    """The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn ships: 1,297 to train, 250
    to validate, 250 to test.

    Arguments:
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        binarization: dynamic, static or none (grey).
        seed: Decides the order of training images and their dynamic binarisation.
        binarization_seed: Decides the static binarisation, and the one draw that dynamic
            evaluation makes: runs that differ in ``seed`` only are trained and judged on the same
            data.
        steps_per_batch: Optimiser steps in one step of the Lightning loop: a matter of speed and
            of how often signals and the clock are looked at; the numbers stay the same.
    """

    image_shape = (1, 8, 8)

    def __init__(
        self,
        batch_size: int = 64,
        eval_batch_size: int = 250,
        binarization: Binarization = "dynamic",
        seed: int = 0,
        binarization_seed: int = 0,
        steps_per_batch: int = 20,
    ) -> None:
        super().__init__(
            batch_size, eval_batch_size, binarization, seed, binarization_seed, steps_per_batch
        )
        self.save_hyperparameters()

    def load(self) -> dict[str, Tensor]:
        from sklearn.datasets import load_digits  # a second to import, for who needs it

        grey = torch.from_numpy(load_digits().images)  # (1797, 8, 8), levels 0..16
        images = (grey * (255 / 16)).round().to(torch.uint8).unsqueeze(1)
        order = torch.randperm(
            len(images), generator=torch.Generator().manual_seed(0)
        )  # the file is sorted by writer
        train, val, test = images[order].split([1297, 250, 250])
        return {"train": train, "val": val, "test": test}
