"""CIFAR-10: small colour photographs of ten classes."""

from __future__ import annotations

import pickle
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from vae.data.files import assert_md5, download, find, not_found
from vae.data.folder import data_dir
from vae.data.images.memory import ImagesInMemory
from vae.data.loader import Binarization

__all__ = ["CIFAR10", "MD5"]


FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"

MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
"""The files, with torchvision's checksums. They are pickles: nothing is unpickled before it is
known to be what was published."""


class CIFAR10(ImagesInMemory):
    """CIFAR-10's 60,000 colour images of 32 x 32 pixels, from torchvision's files.

    The folder ``cifar-10-batches-py``, or the archive, is looked for in, and downloaded to, the folder
    that :func:`vae.data.folder.data_dir` names.

    References:
        | Learning Multiple Layers of Features from Tiny Images (Krizhevsky, 2009)
        | https://www.cs.toronto.edu/~kriz/cifar.html

    Arguments:
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        num_val: How many of the 50,000 training images, the last ones, are for validation.
        binarization: By default none: the levels of the three colours.

    Raises:
        ValueError: If an argument is out of range.
    """

    image_shape = (3, 32, 32)

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 500,
        num_val: int = 5000,
        binarization: Binarization = "none",
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, binarization, **kwargs)
        if not 0 <= num_val < 50000:
            raise ValueError(f"num_val must be from 0 to 49999, got {num_val}")
        self.num_val = num_val

    def prepare_data(self) -> None:
        if self._paths():
            return

        def fill(root: Path) -> None:
            from torchvision import datasets  # takes a second to import

            datasets.CIFAR10(str(root), download=True)
            (root / ARCHIVE).unlink(missing_ok=True)  # it has been unpacked

        folder = data_dir() / FOLDER
        missing = not_found("CIFAR-10", folder, f"{FOLDER} or {ARCHIVE}")
        download("CIFAR-10", 170, missing, fill)

    def load(self) -> dict[str, Tensor]:
        return self._splits("data", lambda rows: torch.from_numpy(rows).view(-1, 3, 32, 32))

    def load_labels(self) -> dict[str, Tensor]:
        return self._splits("labels", lambda rows: torch.tensor(rows, dtype=torch.int64))

    def _paths(self) -> dict[str, Path]:
        """The files by their names; or the archive under the name of each; nothing if one is absent."""
        root = data_dir()
        paths = {name: find("CIFAR-10", [root / FOLDER], [name]) for name in MD5}
        if not all(paths.values()):
            archive = find("CIFAR-10", [root], [ARCHIVE])
            paths = dict.fromkeys(MD5, archive)
        return {name: path for name, path in paths.items() if path is not None}

    def _splits(self, key: str, tensor: Any) -> dict[str, Tensor]:
        self.prepare_data()
        *training, test = (tensor(held[key]) for held in self._read())
        rows = torch.cat(training)
        count = len(rows) - self.num_val
        return {"train": rows[:count], "val": rows[count:], "test": test}

    def _read(self) -> list[dict[str, Any]]:
        """What the files hold, in the order of ``MD5``.

        Raises:
            ValueError: If one is not CIFAR-10's.
        """
        paths = self._paths()
        archive = paths["test_batch"] if paths["test_batch"].name == ARCHIVE else None
        unpacked = {} if archive is None else _members(archive)
        held = []
        for name, path in paths.items():
            try:
                content = unpacked[name] if archive else path.read_bytes()
                assert_md5(content, MD5[name])
            except (ValueError, KeyError) as error:
                raise ValueError(_foreign(path, name if archive else "", error)) from None
            found = pickle.loads(content, encoding="latin1")  # whose checksum is known
            images, labels = found["data"], found["labels"]
            held.append({"data": numpy.ascontiguousarray(images), "labels": labels})
        return held


def _members(archive: Path) -> dict[str, bytes]:
    """The files in the archive that are looked for, by name."""
    try:
        with tarfile.open(fileobj=BytesIO(archive.read_bytes())) as tar:
            names = {f"{FOLDER}/{name}": name for name in MD5}
            found = ((names[m.name], tar.extractfile(m)) for m in tar if m.name in names)
            return {name: file.read() for name, file in found if file is not None}
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(_foreign(archive, "", error)) from None


def _foreign(path: Path, member: str, error: Exception) -> str:
    what = f"{member} in it: {error}" if member else str(error)
    return (
        f"{path} is not CIFAR-10's file ({what}); delete it to download it again, or fetch it anew"
    )
