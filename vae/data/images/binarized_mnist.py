"""Static binarised MNIST, the one draw that papers share."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vae.data.files import fetch, find, not_found
from vae.data.folder import data_dir
from vae.data.images.memory import ImagesInMemory

__all__ = ["BinarizedMNIST"]


FOLDER = "BinarizedMNIST"
FILES = {"train": "train", "val": "valid", "test": "test"}
COUNTS = {"train": 50000, "val": 10000, "test": 10000}
SOURCE = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist"

PIXELS = 784


class BinarizedMNIST(ImagesInMemory):
    """MNIST binarised once by Hugo Larochelle: 50,000 images to train, 10,000 and 10,000.

    Numbers of "static MNIST" in papers are of these pixels; ``MNISTDataModule`` with
    ``binarization: static`` is another draw. There are no labels.

    The three text files, ``binarized_mnist_train.amat`` and so on, are looked for, and downloaded
    to, the folder ``BinarizedMNIST`` in that which :func:`vae.data.folder.data_dir` names. No checksum
    of them was published: that each holds the right number of zeros and ones is verified.

    References:
        | On the Quantitative Analysis of Deep Belief Networks (Salakhutdinov & Murray, 2008),
        | The Neural Autoregressive Distribution Estimator (Larochelle & Murray, 2011).

    Arguments:
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        seed: The seed of the order of training images.
        steps_per_batch: Optimiser steps in one step of the Lightning loop; it changes the speed only.
    """

    image_shape = (1, 28, 28)

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        seed: int = 0,
        steps_per_batch: int = 50,
    ) -> None:
        super().__init__(
            batch_size, eval_batch_size, "static", seed, steps_per_batch=steps_per_batch
        )

    def prepare_data(self) -> None:
        if absent := [split for split in FILES if self._path(split) is None]:
            missing = not_found(
                "Larochelle's binarised MNIST",
                data_dir() / FOLDER,
                " and ".join(f"{FOLDER}/{_name(split)}" for split in absent),
            )
            size = sum(2 * PIXELS * COUNTS[split] for split in absent) / 1e6
            fetch(
                "binarised MNIST",
                size,
                missing,
                FOLDER,
                [f"{SOURCE}/{_name(split)}" for split in absent],
            )

    def load(self) -> dict[str, Tensor]:
        self.prepare_data()
        return {split: self._read(split) for split in FILES}

    def _path(self, split: str) -> Path | None:
        return find("binarised MNIST", [data_dir() / FOLDER], [_name(split)])

    def _read(self, split: str) -> Tensor:
        """The images of a file of rows "0 1 0 ...", uint8 (N, 1, 28, 28).

        Raises:
            ValueError: If it is another file.
        """
        path, count = self._path(split), COUNTS[split]
        assert path is not None, "prepared before"
        text = torch.frombuffer(bytearray(path.read_bytes() or b" "), dtype=torch.uint8)
        is_digit = (text == ord("0")) | (text == ord("1"))
        is_space = (text == ord(" ")) | (text == ord("\n")) | (text == ord("\r"))
        rows = int((text == ord("\n")).sum()) + int(text[-1] != ord("\n"))
        if not (is_digit | is_space).all() or (is_digit[1:] & is_digit[:-1]).any():
            reason = "it holds more than zeros and ones"
        elif (found := int(is_digit.sum())) != count * PIXELS or rows != count:
            reason = f"it holds {rows} rows and {found} pixels, not {count} rows of {PIXELS}"
        else:
            return ((text[is_digit] - ord("0")) * 255).view(count, *self.image_shape)
        raise ValueError(
            f"{path} is not Larochelle's file ({reason}); delete it to download it again, or fetch"
            " it anew"
        )


def _name(split: str) -> str:
    return f"binarized_mnist_{FILES[split]}.amat"
