"""MNIST, on torchvision's files, each verified by its checksum."""

from __future__ import annotations

import gzip
import hashlib
import math
import socket
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets import MNIST

from vae.data.loader import Binarization
from vae.data.module import ImageDataModule, data_dir

__all__ = ["MNISTDataModule", "find_mnist", "load_mnist", "read_idx"]


UNPACKED_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
}
"""Checksums of the unpacked files; those of the .gz files are torchvision's."""


def load_mnist(train: bool, download: bool = True) -> Tensor:
    """The images of MNIST's training or test set, uint8 with shape (60000 or 10000, 28, 28).

    Reads the unpacked or the .gz files of torchvision's layout, ``<data_dir>/MNIST/raw``,
    verifies their checksum, and writes nothing; where neither is there, torchvision downloads
    them first.

    Raises:
        FileNotFoundError: If the files are not there and cannot be downloaded.
        ValueError: If a file is not the one that MNIST consists of.
    """
    name = _NAMES[train]
    raw = data_dir() / "MNIST" / "raw"
    packed, unpacked = raw / f"{name}.gz", raw / name
    if download and not _there(packed) and not _there(unpacked):
        find_mnist()
    if not _there(packed) and not _there(unpacked):
        raise FileNotFoundError(_where())
    path = packed if packed.exists() else unpacked
    count = 60000 if train else 10000
    try:
        images = read_idx(_unpacked(path, 16 + count * 28 * 28))
        if images.shape != (count, 28, 28):
            raise ValueError(f"it holds images of shape {tuple(images.shape)}")
        md5 = dict(MNIST.resources)[path.name] if path is packed else UNPACKED_MD5[name]
        if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
            raise ValueError("wrong checksum: damaged or foreign")
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not MNIST's file ({error}); delete it to download it again, or fetch it anew"
        ) from None
    return images


def _there(path: Path) -> bool:
    """Whether a file is there.

    Raises:
        ValueError: If it is something else: opened, a pipe would wait for ever.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no regular file: put MNIST's in its place")
    return path.exists()


def _unpacked(path: Path, size: int) -> bytes:
    """A file's contents, of which no more is read than shows that they are too long."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return file.read(size + 1)


def read_idx(content: bytes) -> Tensor:
    """The images of an idx file, uint8 with shape (N, height, width).

    Raises:
        ValueError: If it holds something else, or not as much as it says.
    """
    if len(content) < 16:
        raise ValueError("it is empty" if not content else "it is cut short")
    magic, *shape = struct.unpack(">IIII", content[:16])
    if magic != 2051:
        kind = "labels" if magic == 2049 else "something else"
        raise ValueError(f"its magic number is {magic}, not 2051: it holds {kind}")
    if len(content) - 16 != math.prod(shape):
        raise ValueError(
            f"wrong length for images of shape {tuple(shape)}: it is cut short or damaged"
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=16).view(*shape)


_NAMES = {True: "train-images-idx3-ubyte", False: "t10k-images-idx3-ubyte"}


def _where() -> str:
    raw = data_dir() / "MNIST" / "raw"
    return f"MNIST is not in {raw}; set VAE_DATA_DIR to a folder that holds MNIST/raw/*.gz"


def find_mnist() -> None:
    """Downloads MNIST, by torchvision, if its images are not all there.

    Raises:
        FileNotFoundError: If they are not there and cannot be downloaded.
    """
    root = data_dir()
    raw = root / "MNIST" / "raw"
    if all(_there(raw / f"{n}.gz") or _there(raw / n) for n in _NAMES.values()):
        return
    if root.exists() and not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: {_where()}")
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # torchvision's download would wait for ever
    try:
        MNIST(root, download=True)
    except (OSError, RuntimeError) as error:
        for folder in (raw, raw.parent, root):  # what the failed download made and left empty
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        reason = str(error).strip().splitlines()[-1]
        raise FileNotFoundError(f"{_where()} (the download failed: {reason})") from None
    finally:
        socket.setdefaulttimeout(timeout)


class MNISTDataModule(ImageDataModule):
    """MNIST, on torchvision's files (see ``load_mnist`` for where they are found).

    Arguments:
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        binarization: dynamic, static or none (grey).
        num_val: How many of the 60,000 training images, the last ones, are for validation: 10000,
            400 (as in the IWAE paper) or 0.
        seed: Decides the order of training images and their dynamic binarisation.
        binarization_seed: Decides the static binarisation, and the one draw that dynamic
            evaluation makes: runs that differ in ``seed`` only are trained and judged on the same
            data.
        steps_per_batch: Optimiser steps in one step of the Lightning loop: a matter of speed and
            of how often signals and the clock are looked at; the numbers stay the same.
    """

    image_shape = (1, 28, 28)

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        binarization: Binarization = "dynamic",
        num_val: int = 10000,
        seed: int = 0,
        binarization_seed: int = 0,
        steps_per_batch: int = 20,
    ) -> None:
        super().__init__(
            batch_size, eval_batch_size, binarization, seed, binarization_seed, steps_per_batch
        )
        if not 0 <= num_val < 60000:
            raise ValueError(f"num_val must be from 0 to 59999, got {num_val}")
        self.num_val = num_val
        self.save_hyperparameters()

    def prepare_data(self) -> None:
        find_mnist()

    def load(self) -> dict[str, Tensor]:
        images = load_mnist(train=True).unsqueeze(1)
        num_train = len(images) - self.num_val
        test = load_mnist(train=False).unsqueeze(1)
        return {"train": images[:num_train], "val": images[num_train:], "test": test}
