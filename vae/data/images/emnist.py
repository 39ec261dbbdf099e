"""EMNIST: letters and digits in MNIST's format."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vae.data.idx_sets import emnist
from vae.data.images.memory import ImagesInMemory

__all__ = ["EMNIST"]

Subset = Literal["letters", "balanced", "byclass", "bymerge", "digits", "mnist"]


class EMNIST(ImagesInMemory):
    """EMNIST's handwritten letters and digits of 28 x 28 pixels, from torchvision's files.

    The files hold images transposed, and number the letters from 1: here they stand upright, and
    classes count from 0. The test file is sorted by class: its images are mixed, always alike.

    References:
        | EMNIST: an extension of MNIST to handwritten letters (Cohen et al., 2017)
        | (https://arxiv.org/abs/1702.05373)

    Arguments:
        subset: letters (26 classes, upper and lower case as one), balanced or bymerge (47: letters
            that look alike in both cases are one), byclass (62), digits or mnist (10).
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        num_val: How many of the training images, the last ones, are for validation; by default as
            many as there are test images.

    Raises:
        ValueError: If an argument is out of range.
    """

    image_shape = (1, 28, 28)

    def __init__(
        self,
        subset: Subset = "letters",
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        num_val: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, **kwargs)
        if subset not in get_args(Subset):
            known = ", ".join(get_args(Subset))
            raise ValueError(f"unknown subset {subset!r} of EMNIST: choose from {known}")
        self.subset, self.files = subset, emnist(subset)
        training, test = self.files.counts
        self.num_val = test if num_val is None else num_val
        if not 0 <= self.num_val < training:
            raise ValueError(f"num_val must be from 0 to {training - 1}, got {num_val}")

    def prepare_data(self) -> None:
        self.files.find()

    def report(self) -> str:
        return self.files.report()

    def load(self) -> dict[str, Tensor]:
        training, test = self.files.images(train=True), self.files.images(train=False)
        return self._splits(*(rows.transpose(1, 2).unsqueeze(1) for rows in (training, test)))

    def load_labels(self) -> dict[str, Tensor]:
        first = 1 if self.subset == "letters" else 0
        rows = (self.files.labels(train) for train in (True, False))
        return self._splits(*(labels.long() - first for labels in rows))

    def _splits(self, training: Tensor, test: Tensor) -> dict[str, Tensor]:
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
        training, val = training.split([len(training) - self.num_val, self.num_val])
        return {"train": training.contiguous(), "val": val.contiguous(), "test": test[order]}
