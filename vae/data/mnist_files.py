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

__all__ = ["find_mnist", "load_mnist", "load_mnist_labels", "prepare_mnist", "read_idx"]


IMAGE_FILES = {True: "train-images-idx3-ubyte", False: "t10k-images-idx3-ubyte"}
"""The unpacked files of the training and of the test images."""

LABEL_FILES = {True: "train-labels-idx1-ubyte", False: "t10k-labels-idx1-ubyte"}
"""The unpacked files of their labels."""

MAGIC = {2049: "labels", 2051: "images"}
"""What an idx file of bytes holds; its lowest digits are the number of dimensions."""

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
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
    if download and _path(IMAGE_FILES[train]) is None:
        find_mnist()
    path = _path(IMAGE_FILES[train])
    if path is None:
        raise FileNotFoundError(_not_found())
    return _verified(path, 2051, (60000 if train else 10000, 28, 28))


def load_mnist_labels(train: bool) -> Tensor:
    """The labels of MNIST's training or test set, uint8 with shape (60000,) or (10000,).

    Reads the files beside those of the images, as :func:`load_mnist` does; nothing is downloaded.

    Raises:
        FileNotFoundError: If the files are not there.
        ValueError: If a file is not the one that MNIST consists of.
    """
    name = LABEL_FILES[train]
    path = _path(name)
    if path is None:
        raw = data_dir() / "MNIST" / "raw"
        raise FileNotFoundError(f"MNIST's labels are not in {raw}: put {name}.gz there")
    return _verified(path, 2049, (60000 if train else 10000,))


def _path(name: str) -> Path | None:
    """A file of MNIST, packed or unpacked; None if it is not there."""
    raw = data_dir() / "MNIST" / "raw"
    return next((path for path in (raw / f"{name}.gz", raw / name) if _is_file(path)), None)


def _verified(path: Path, magic: int, shape: tuple[int, ...]) -> Tensor:
    """What a file holds, if it is the one that MNIST consists of.

    Raises:
        ValueError: If it is not.
    """
    try:
        content = read_idx(_unpacked(path, 4 + 4 * len(shape) + math.prod(shape)), magic)
        if content.shape != shape:
            raise ValueError(f"it holds {MAGIC[magic]} of shape {tuple(content.shape)}")
        if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != MD5[path.name]:
            raise ValueError("wrong checksum: damaged or foreign")
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not MNIST's file ({error}); delete it to download it again, or fetch it anew"
        ) from None
    return content


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


def read_idx(content: bytes, expected: int = 2051) -> Tensor:
    """What an idx file holds: images, uint8 ``(N, height, width)``, or labels, uint8 ``(N,)``.

    Arguments:
        content: The file's.
        expected: Its magic number, one of ``MAGIC``.

    Raises:
        ValueError: If it holds something else, or not as much as it says.
    """
    dimensions = expected % 256
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise ValueError("it is empty" if not content else "it is cut short")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", content[:header])
    if magic != expected:
        kind = MAGIC.get(magic, "something else")
        raise ValueError(f"its magic number is {magic}, not {expected}: it holds {kind}")
    if len(content) - header != math.prod(shape):
        raise ValueError(
            f"wrong length for {MAGIC[expected]} of shape {tuple(shape)}: it is cut short or damaged"
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header).view(*shape)


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

    Labels are verified where they are there: only a probe of a trained model needs them.

    Raises:
        FileNotFoundError: If it is not there and cannot be downloaded.
        ValueError: If a file is damaged.
    """
    train, test = load_mnist(train=True), load_mnist(train=False)
    labels = [load_mnist_labels(part) for part, name in LABEL_FILES.items() if _path(name)]
    said = ("no labels", "only half of the labels", "with labels")[len(labels)]
    count = f"{len(train)} training and {len(test)} test images"
    return f"MNIST in {data_dir()}: {count}, verified; {said}"
