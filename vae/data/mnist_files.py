"""MNIST's files: found or downloaded, verified by their checksums, and read."""

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

from vae.data.folder import data_dir

__all__ = ["find_mnist", "load_mnist", "prepare_mnist", "read_idx"]


IMAGE_FILES = {True: "train-images-idx3-ubyte", False: "t10k-images-idx3-ubyte"}
"""The unpacked files of the training and of the test images."""

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
}
"""Checksums of the files, unpacked and packed; torchvision has those of the packed ones too."""


def load_mnist(train: bool, download: bool = True) -> Tensor:
    """The images of MNIST's training or test set, uint8 with shape (60000 or 10000, 28, 28).

    Reads the packed (.gz) or the unpacked files in ``<data_dir>/MNIST/raw``, where torchvision puts
    them, and verifies their checksum. If there are none, torchvision downloads them first.

    Raises:
        FileNotFoundError: If the files are not there and cannot be downloaded.
        ValueError: If a file is not the one that MNIST consists of.
    """
    name = IMAGE_FILES[train]
    raw = data_dir() / "MNIST" / "raw"
    packed, unpacked = raw / f"{name}.gz", raw / name
    if download and not _is_file(packed) and not _is_file(unpacked):
        find_mnist()
    if not _is_file(packed) and not _is_file(unpacked):
        raise FileNotFoundError(_not_found())
    path = packed if packed.exists() else unpacked
    count = 60000 if train else 10000
    try:
        images = read_idx(_unpacked(path, 16 + count * 28 * 28))
        if images.shape != (count, 28, 28):
            raise ValueError(f"it holds images of shape {tuple(images.shape)}")
        if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != MD5[path.name]:
            raise ValueError("wrong checksum: damaged or foreign")
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not MNIST's file ({error}); delete it to download it again, or fetch it anew"
        ) from None
    return images


def _is_file(path: Path) -> bool:
    """Whether there is a file.

    Raises:
        ValueError: If there is something else. To open a pipe, for one, would wait for ever.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no regular file: put MNIST's in its place")
    return path.exists()


def _unpacked(path: Path, size: int) -> bytes:
    """A file's contents unpacked; at most one byte more than ``size``, which shows an excess."""
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


def _not_found() -> str:
    """What is said where MNIST is missing."""
    raw = data_dir() / "MNIST" / "raw"
    return f"MNIST is not in {raw}; set VAE_DATA_DIR to a folder that holds MNIST/raw/*.gz"


def find_mnist() -> None:
    """Has torchvision download MNIST, if its images are not all there.

    Raises:
        FileNotFoundError: If they are not there and cannot be downloaded.
    """
    root = data_dir()
    raw = root / "MNIST" / "raw"
    if all(_is_file(raw / f"{n}.gz") or _is_file(raw / n) for n in IMAGE_FILES.values()):
        return
    if root.exists() and not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: {_not_found()}")
    from torchvision.datasets import MNIST  # takes a second to import

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # torchvision's download would wait for ever
    try:
        MNIST(root, download=True)
    except (OSError, RuntimeError) as error:
        for folder in (raw, raw.parent, root):  # empty ones that the failed download left
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        reason = str(error).strip().splitlines()[-1]
        raise FileNotFoundError(f"{_not_found()} (the download failed: {reason})") from None
    finally:
        socket.setdefaulttimeout(timeout)


def prepare_mnist() -> str:
    """Finds or downloads MNIST and verifies it; returns a line that says where it is.

    Raises:
        FileNotFoundError: If it is not there and cannot be downloaded.
        ValueError: If a file is damaged.
    """
    train, test = load_mnist(train=True), load_mnist(train=False)
    return f"MNIST in {data_dir()}: {len(train)} training and {len(test)} test images, verified"
