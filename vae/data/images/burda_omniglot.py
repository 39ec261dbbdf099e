"""Omniglot at 28 x 28 pixels as Burda et al. (2016) have it: what papers call OMNIGLOT."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from vae.data.files import fetch, find, not_found
from vae.data.folder import data_dir
from vae.data.images.memory import ImagesInMemory

__all__ = ["BLOB", "BurdaOmniglot"]


FILE = "chardata.mat"
SOURCE = f"https://raw.githubusercontent.com/yburda/iwae/master/datasets/OMNIGLOT/{FILE}"
FOLDERS = ("OMNIGLOT", "omniglot-py", "omniglot")

BLOB = "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"
"""The name that git gives the file in the authors' repository: a SHA-1 checksum of its content."""

COUNTS = {"data": 24345, "testdata": 8070}


class BurdaOmniglot(ImagesInMemory):
    """Omniglot at 28 x 28 pixels, 24,345 images to train and 8,070 to test, from ``chardata.mat``.

    As in the authors' code, training images are mixed by NumPy's generator with seed 123, and the
    last are to validate. The test images are mixed too: their order is by alphabet, and the first
    few would be of one. The classes are the 50 alphabets.

    The file is looked for, and downloaded to, the folder ``OMNIGLOT`` in that which
    :func:`vae.data.folder.data_dir` names.

    References:
        | Importance Weighted Autoencoders (Burda et al., 2016)
        | (https://arxiv.org/abs/1509.00519), https://github.com/yburda/iwae

    Arguments:
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        num_val: How many of the 24,345 training images, the last ones, are for validation.

    Raises:
        ValueError: If an argument is out of range.
    """

    image_shape = (1, 28, 28)

    def __init__(
        self,
        batch_size: int = 100,
        eval_batch_size: int = 1000,
        num_val: int = 1345,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, **kwargs)
        if not 0 <= num_val < COUNTS["data"]:
            raise ValueError(f"num_val must be from 0 to {COUNTS['data'] - 1}, got {num_val}")
        self.num_val = num_val

    def prepare_data(self) -> None:
        if self._path() is None:
            missing = not_found(
                "Burda's Omniglot", data_dir() / FOLDERS[0], f"{FOLDERS[0]}/{FILE}"
            )
            fetch("Burda's Omniglot", None, missing, FOLDERS[0], [SOURCE])

    def load(self) -> dict[str, Tensor]:
        held = self._read()
        return self._splits(*(_images(held[key]) for key in COUNTS))

    def load_labels(self) -> dict[str, Tensor]:
        held = self._read()
        return self._splits(*(_classes(held[key]) for key in ("target", "testtarget")))

    def _splits(self, training: Tensor, test: Tensor) -> dict[str, Tensor]:
        order, mixed = (
            torch.from_numpy(numpy.random.RandomState(123).permutation(len(rows)))
            for rows in (training, test)
        )
        training, count = training[order], len(training) - self.num_val
        return {"train": training[:count], "val": training[count:], "test": test[mixed]}

    def _path(self) -> Path | None:
        return find("Omniglot", [data_dir() / folder for folder in FOLDERS], [FILE])

    def _read(self) -> dict[str, Any]:
        """The arrays in the file.

        Raises:
            ValueError: If it is another file.
        """
        from scipy.io import loadmat

        self.prepare_data()
        path = self._path()
        assert path is not None, "prepared before"
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        try:
            if blob.hexdigest() != BLOB:
                raise ValueError("wrong checksum: damaged or foreign")
            held: dict[str, Any] = loadmat(BytesIO(content))
            for key, count in COUNTS.items():
                if held[key].shape != (784, count):
                    raise ValueError(f"its {key} has the shape {held[key].shape}")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not Burda's file ({error}); delete it to download it again, or fetch it"
                " anew"
            ) from None
        return held


def _images(columns: numpy.ndarray) -> Tensor:
    """Images in the columns of a matrix, transposed each: uint8 (N, 1, 28, 28)."""
    levels = torch.from_numpy(columns.astype(numpy.float32)).T.reshape(-1, 1, 28, 28)
    return (levels.transpose(-1, -2) * 255).round().to(torch.uint8).contiguous()


def _classes(columns: numpy.ndarray) -> Tensor:
    """The classes of one-hot columns, int64 (N,)."""
    return torch.from_numpy(columns.argmax(0).astype(numpy.int64))
