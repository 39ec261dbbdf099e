"""An ``.npz`` file of arrays that come in batches, written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from vae.run.files import writable
from vae.whole_files import replacing

__all__ = ["NpzWriter", "writable_npz"]


ABOUT = "about"
"""The entry that says what a file of ours holds."""


class NpzWriter:
    """Arrays by name, a batch after the other; memory is that of one batch.

    They wait in temporary files beside the target, which no name leads to, and are put together at the
    end of the ``with`` block; nothing is left of a block that ends with an error.

    Example::

        with NpzWriter(path) as file:
            for x in batches:
                file.append({"z": encoder(x)})
            file.about = "of the test images"

    Arguments:
        path: The file; its folder is made.

    Attributes:
        about: A word on what the file holds, its entry ``about``.
        dropped: Names that not every batch had; they are left out.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.about = path, ""
        self.dropped: set[str] = set()
        self._parts: dict[str, tuple[IO[bytes], np.dtype, tuple[int, ...]]] = {}
        self._rows = 0

    def __enter__(self) -> NpzWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Adds a batch of rows to each array.

        Raises:
            OSError: If the disk is full.
            ValueError: If an array has another shape or type than before.
        """
        try:
            for name, array in arrays.items():
                if name not in self._parts and not self._rows:
                    new = tempfile.TemporaryFile(dir=self.path.parent)
                    self._parts[name] = (new, array.dtype, array.shape[1:])
                elif name not in self._parts:
                    self.dropped.add(name)
                    continue
                file, dtype, shape = self._parts[name]
                if (array.dtype, array.shape[1:]) != (dtype, shape):
                    raise ValueError(
                        f"{name} has rows of {array.dtype} {array.shape[1:]}, before {dtype} {shape}"
                    )
                file.write(np.ascontiguousarray(array).data)
                file.flush()
        except OSError as error:
            raise OSError(f"cannot write {self.path} ({error.strerror})") from None
        for name in self._parts.keys() - arrays.keys():
            self._parts.pop(name)[0].close()
            self.dropped.add(name)
        self._rows += len(next(iter(arrays.values())))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                with replacing(self.path) as raw:
                    self._write(raw)
        finally:
            for file, _, _ in self._parts.values():
                with suppress(OSError):  # of a full disk, which has been said
                    file.close()

    def _write(self, raw: IO[bytes]) -> None:
        with zipfile.ZipFile(raw, "w", allowZip64=True) as archive:
            for name, (file, dtype, shape) in self._parts.items():
                header: dict[str, Any] = {
                    "descr": np.lib.format.dtype_to_descr(dtype),
                    "fortran_order": False,
                    "shape": (self._rows, *shape),
                }
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array_header_1_0(entry, header)
                    file.seek(0)
                    shutil.copyfileobj(file, entry, 2**20)
            with archive.open(f"{ABOUT}.npy", "w") as entry:
                np.lib.format.write_array(entry, np.asarray(self.about), allow_pickle=False)


def writable_npz(path: Path) -> Path:
    """As :func:`vae.run.files.writable`, of an ``.npz`` that :class:`NpzWriter` is to write.

    Raises:
        OSError: If it cannot be written.
        ValueError: If the name ends otherwise, or the file there is not one of ours.
    """
    if path.suffix != ".npz":
        raise ValueError(f"{path} does not end in .npz: codes are written as such a file")
    path = writable(path)
    if path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                ours = f"{ABOUT}.npy" in archive.namelist()
        except (OSError, zipfile.BadZipFile):
            ours = False
        if not ours:
            raise ValueError(f"{path} is there, and holds other arrays: name another file")
    return path
