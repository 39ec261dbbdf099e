"""A folder or a zip of images of one's own."""

from __future__ import annotations

from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from vae.data.batch import DataError
from vae.data.images.decoding import decoded, opened
from vae.data.images.memory import ImagesInMemory
from vae.data.images.splitting import SPLITS, assert_fractions, parts_of, refuse_fractions
from vae.data.loader import Binarization
from vae.models.memory import assert_memory

__all__ = ["ImageFolder"]


SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")


class _Image(NamedTuple):
    """An image file: its name in the folder or zip, and its class, if it has one."""

    name: str
    label: str | None


class ImageFolder(ImagesInMemory):
    """The images in a folder, or in a zip, of 8 bits a colour.

    Where the folders at the top are called train, test and val, these are the splits; else a
    fraction of all images, drawn by a seed, is to validate, and one to test. The class of an image
    is the name of its folder: one at the top, or in train, test or val.

    Arguments:
        path: The folder, or the zip.
        size: Height and width, one number or two, to which all images are brought: the largest
            centred part of that shape, by bilinear interpolation. By default all images must have
            the same size, and keep it.
        grey: Whether images are made grey: one channel in place of three.
        val_fraction: Of the images, to validate; by default 0.1.
        test_fraction: Of the images, to test; by default 0.1.
        split_seed: What draws them; by default 0.
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        binarization: By default none: levels as they are.

    Raises:
        ValueError: If an argument is out of range.
        FileNotFoundError: If there is no such folder or zip.
    """

    paths = ("path",)

    def __init__(
        self,
        path: str,
        size: int | tuple[int, int] | None = None,
        grey: bool = False,
        val_fraction: float | None = None,
        test_fraction: float | None = None,
        split_seed: int | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 500,
        binarization: Binarization = "none",
        **kwargs: Any,
    ) -> None:
        # a checkpoint holds it: it is found from any folder, and cannot be taken for a module's name
        path = str(Path(path).expanduser().absolute())
        super().__init__(batch_size, eval_batch_size, binarization, **kwargs)
        self.path, self.grey = Path(path), grey
        sides = (size, size) if isinstance(size, int) else size
        if sides is not None and (len(sides) != 2 or min(sides) < 1):
            raise ValueError(f"size must be one or two numbers, 1 or more, got {size}")
        self.size = None if sides is None else (sides[0], sides[1])
        self.fractions = assert_fractions(val_fraction, test_fraction)
        self.split_seed = split_seed or 0
        self._given = (val_fraction, test_fraction, split_seed)
        if not self.path.exists():
            raise FileNotFoundError(
                f"{self.path} is not there: path names a folder of images, or a zip"
            )

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """Channels, height and width: as asked for, or those of the first image."""
        channels = 1 if self.grey else 3
        if self.size is not None:
            return (channels, *self.size)
        name = str(self._names[0])
        width, height = opened(self._read(name), self._shown(name)).size
        return (channels, height, width)

    def prepare_data(self) -> None:
        _ = self._splits

    def load(self) -> dict[str, Tensor]:
        shape, count = self.image_shape, len(self._names)
        size = count * torch.Size(shape).numel()
        assert_memory(size, f"the {count} images of {self.path}")
        found = {}
        for split, images in self._splits.items():
            held = torch.empty(len(images), *shape, dtype=torch.uint8)
            for place, image in zip(held, images, strict=True):
                content, name = self._read(image.name), self._shown(image.name)
                place.copy_(decoded(content, name, shape, self.size))
            found[split] = held
        return found

    def load_labels(self) -> dict[str, Tensor]:
        labels = [image.label for images in self._splits.values() for image in images]
        if None in labels:
            return {}
        numbers = {name: number for number, name in enumerate(sorted(set(labels)))}  # type: ignore[type-var]
        if len(numbers) == 1:
            return {}
        return {
            split: torch.tensor([numbers[image.label] for image in images])
            for split, images in self._splits.items()
        }

    @cached_property
    def _zip(self) -> ZipFile | None:
        if self.path.is_dir():
            return None
        try:
            return ZipFile(BytesIO(self.path.read_bytes()))
        except BadZipFile as error:
            raise DataError(f"{self.path} is neither a folder nor a zip: {error}") from None

    def _read(self, name: str) -> bytes:
        return (self.path / name).read_bytes() if self._zip is None else self._zip.read(name)

    def _shown(self, name: str) -> str:
        return str(self.path / name)

    @cached_property
    def _names(self) -> list[PurePosixPath]:
        """The images, sorted by name; hidden files are none.

        Raises:
            DataError: If there are none.
        """
        if self._zip is None:
            found = (path for path in self.path.rglob("*") if path.is_file())
            names = [PurePosixPath(path.relative_to(self.path).as_posix()) for path in found]
        else:
            names = [PurePosixPath(name) for name in self._zip.namelist()]
        images = [
            name
            for name in names
            if name.suffix.lower() in SUFFIXES
            and not any(part.startswith((".", "__MACOSX")) for part in name.parts)
        ]
        if not images:
            raise DataError(f"{self.path} holds no images ({', '.join(SUFFIXES)})")
        return sorted(images)

    @cached_property
    def _splits(self) -> dict[str, list[_Image]]:
        """The images of each split, mixed: they are sorted by class.

        Raises:
            DataError: If some are in the folder train, and others in none of a split's name.
        """
        names, whole = self._names, _common_folder(self._names)
        folders = [name.parts[whole:-1] for name in names]
        splits = {word: split for split, words in SPLITS.items() for word in words}
        found = [splits.get(folder[0].lower(), "") if folder else "" for folder in folders]
        in_splits = "train" in found
        if in_splits and "" in found:
            stray = self._shown(str(names[found.index("")]))
            raise DataError(f"{self.path} has a folder train, and {stray} is in no such folder")
        depth = 1 if in_splits else 0
        images = [
            _Image(str(name), folder[depth] if len(folder) > depth else None)
            for name, folder in zip(names, folders, strict=True)
        ]
        if not in_splits:
            parts = parts_of(len(images), self.fractions, self.split_seed)
            return {split: [images[n] for n in part.tolist()] for split, part in parts.items()}
        refuse_fractions(str(self.path), *self._given)
        mixing = torch.Generator().manual_seed(0)
        order = torch.randperm(len(images), generator=mixing).tolist()
        return {
            split: [images[n] for n in order if found[n] == split]
            for split in SPLITS
            if split in found
        }


def _common_folder(names: list[PurePosixPath]) -> int:
    """How many folders all images are in, each in the one before: a zip's own name, most often.

    A folder that is named as a split is, or is the last one, is none of them.
    """
    words = {word for known in SPLITS.values() for word in known}
    depth = 0
    while (
        all(
            len(name.parts) > depth + 2 and name.parts[depth] == names[0].parts[depth]
            for name in names
        )
        and names[0].parts[depth].lower() not in words
    ):
        depth += 1
    return depth
