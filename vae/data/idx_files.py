"""Data sets of MNIST's format: two idx files of images, and two of labels.

They are found or downloaded, verified by their checksums, and read.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from vae.data.files import assert_md5, download, find, not_found
from vae.data.folder import data_dir

__all__ = ["IdxFiles", "read_idx"]


MAGIC = {2049: "labels", 2051: "images"}
"""What an idx file of bytes holds; its lowest digits are the number of dimensions."""


class _Kind(NamedTuple):
    """What a file is of, and its magic number."""

    suffix: str
    magic: int


IMAGES, LABELS = _Kind("images-idx3-ubyte", 2051), _Kind("labels-idx1-ubyte", 2049)


class IdxFiles:
    """The files of a data set in ``<data_dir>/<title>/raw``, where torchvision puts them.

    The packed (.gz) files suffice, and the unpacked ones do too.

    Arguments:
        title: The data set's name, which is that of torchvision's class.
        counts: The number of training and of test images.
        md5: Checksums of files, packed and unpacked, by their names. Of a file that is not among
            them, the length is verified; of a packed one, gzip's own checksum too.
        names: What the names of the training and of the test files begin with.
        megabytes: What there is to download, of 10^6 bytes.
        archive: A zip that holds the packed files too, in a folder ``gzip``.
        options: Further arguments of torchvision's class.
    """

    def __init__(
        self,
        title: str,
        counts: tuple[int, int],
        md5: Mapping[str, str],
        names: tuple[str, str] = ("train", "t10k"),
        archive: str = "",
        megabytes: float | None = None,
        **options: Any,
    ) -> None:
        self.title, self.counts, self.md5, self.names = title, counts, dict(md5), names
        self.archive, self.options, self.megabytes = archive, options, megabytes

    @property
    def folder(self) -> Path:
        return data_dir() / self.title / "raw"

    def images(self, train: bool, download: bool = True) -> Tensor:
        """The training or the test images, uint8 with shape (N, 28, 28).

        If there are none, torchvision downloads them first.

        Raises:
            FileNotFoundError: If the files are not there and cannot be downloaded.
            ValueError: If a file is not the data set's.
        """
        if download and not self._is_there(train, IMAGES):
            self.find()
        if not self._is_there(train, IMAGES):
            raise FileNotFoundError(self._missing)
        return self._read(train, IMAGES)

    def labels(self, train: bool) -> Tensor:
        """The labels of the training or the test images, uint8 with shape (N,).

        Nothing is downloaded.

        Raises:
            FileNotFoundError: If the files are not there.
            ValueError: If a file is not the data set's.
        """
        if not self._is_there(train, LABELS):
            name = self._name(train, LABELS)
            raise FileNotFoundError(
                f"{self.title}'s labels are not in {self.folder}: put {name}.gz there"
            )
        return self._read(train, LABELS)

    def find(self) -> None:
        """Has torchvision download the files, if the images are not all there.

        Raises:
            FileNotFoundError: If they are not there and cannot be downloaded.
        """
        if all(self._is_there(train, IMAGES) for train in (True, False)):
            return

        def fill(root: Path) -> None:
            from torchvision import datasets  # takes a second to import

            getattr(datasets, self.title)(str(root), download=True, **self.options)

        download(self.title, self.megabytes, self._missing, fill)

    def report(self) -> str:
        """Verifies all files; returns a line that says where they are.

        Labels are verified where they are there: only a probe of a trained model needs them.

        Raises:
            FileNotFoundError: If the images are not there and cannot be downloaded.
            ValueError: If a file is damaged.
        """
        train, test = self.images(train=True), self.images(train=False)
        labels = [self.labels(part) for part in (True, False) if self._is_there(part, LABELS)]
        said = ("no labels", "only half of the labels", "with labels")[len(labels)]
        paths = (self._path(part, IMAGES) or self._packed() for part in (True, False))
        known = all(path is not None and path.name in self.md5 for path in paths)
        how = "verified" if known else "of the right length, without a checksum to compare"
        count = f"{len(train)} training and {len(test)} test images"
        return f"{self.title} in {data_dir()}: {count}, {how}; {said}"

    @property
    def _missing(self) -> str:
        return not_found(self.title, self.folder, f"{self.title}/raw/*.gz")

    def _name(self, train: bool, kind: _Kind) -> str:
        return f"{self.names[0 if train else 1]}-{kind.suffix}"

    def _path(self, train: bool, kind: _Kind) -> Path | None:
        """A file by itself, packed or unpacked; None if it is not there."""
        name = self._name(train, kind)
        return find(self.title, [self.folder], [f"{name}.gz", name])

    def _packed(self) -> Path | None:
        """The zip of all files; None if it is not there."""
        return find(self.title, [self.folder], [self.archive]) if self.archive else None

    def _is_there(self, train: bool, kind: _Kind) -> bool:
        return self._path(train, kind) is not None or self._packed() is not None

    def _read(self, train: bool, kind: _Kind) -> Tensor:
        """What a file holds, if it is the one that the data set consists of.

        Raises:
            ValueError: If it is not.
        """
        path = self._path(train, kind) or self._packed()
        assert path is not None, "looked for before"
        count = self.counts[0 if train else 1]
        shape = (count, 28, 28) if kind is IMAGES else (count,)
        size = 4 + 4 * len(shape) + math.prod(shape)
        try:
            packed = path.read_bytes()
            content = read_idx(self._unpacked(path, packed, size, train, kind), kind.magic)
            if content.shape != shape:
                what = MAGIC[kind.magic]
                raise ValueError(f"it holds {what} of shape {tuple(content.shape)}")
            if path.name in self.md5:
                assert_md5(packed, self.md5[path.name])
        except (ValueError, EOFError, gzip.BadGzipFile, BadZipFile, KeyError, zlib.error) as error:
            raise ValueError(
                f"{path} is not {self.title}'s file ({error}); delete it to download it again, or"
                " fetch it anew"
            ) from None
        return content

    def _unpacked(self, path: Path, packed: bytes, size: int, train: bool, kind: _Kind) -> bytes:
        """A file's contents; at most one byte more than ``size``, which shows an excess."""
        if path.name == self.archive:
            with ZipFile(BytesIO(packed)) as archive:
                packed = archive.read(f"gzip/{self._name(train, kind)}.gz")
        elif path.suffix != ".gz":
            return packed[: size + 1]
        with gzip.open(BytesIO(packed)) as file:
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
