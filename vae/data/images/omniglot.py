"""Omniglot: characters of many alphabets, each drawn by twenty people."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vae.data.files import assert_md5, fetch, find, not_found
from vae.data.folder import data_dir
from vae.data.images.memory import ImagesInMemory

__all__ = ["MD5", "Omniglot"]


Subset = Literal["full", "small", "small1", "small2"]
HeldOut = Literal["drawings", "alphabets"]
Label = Literal["alphabet", "character"]

ZIPS: dict[str, tuple[str, ...]] = {
    "full": ("images_background", "images_evaluation"),
    "small": ("images_background_small1", "images_background_small2"),
    "small1": ("images_background_small1",),
    "small2": ("images_background_small2",),
}
"""The files of each subset, without ``.zip``."""

MD5 = {
    "images_background": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811",
    "images_background_small1": "e704a628b5459e08445c13499850abc4",
    "images_background_small2": "b75a71a51d3b13f821f212756fe481fd",
}
"""Their checksums; torchvision has those of the first two."""

MEGABYTES = {
    "images_background": 9.5,
    "images_evaluation": 6.5,
    "images_background_small1": 1.3,
    "images_background_small2": 1.6,
}
"""Their sizes, of 10^6 bytes."""

SOURCE = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
FOLDERS = ("omniglot-py", "omniglot")
"""Where the zips are looked for, in the folder of data sets: the first is torchvision's."""

SIDE = 105
DRAWINGS = 20


class _Drawing(NamedTuple):
    """An image, and what it shows: its alphabet, character, and who drew it, from 1 to 20."""

    alphabet: str
    character: str
    drawer: int
    png: bytes


class Omniglot(ImagesInMemory):
    """Omniglot's handwritten characters, 1,623 of 50 alphabets, each drawn by 20 people.

    Strokes are 1 and paper is 0; the files have it the other way round. From 105 x 105 pixels the
    images are brought to ``size`` by bilinear interpolation with antialiasing. So their pixels are
    not those of Burda et al.'s file (:class:`vae.data.images.burda_omniglot.BurdaOmniglot`), and
    numbers cannot be compared.

    The zips are looked for, and downloaded to, the folder ``omniglot-py`` or ``omniglot`` in that which
    :func:`vae.data.folder.data_dir` names. The small sets hold 136 and 156 characters of five
    alphabets each, two of which both have: together 242 of eight.

    References:
        | Human-level concept learning through probabilistic program induction (Lake et al., 2015)
        | https://github.com/brendenlake/omniglot (MIT licence)

    Arguments:
        subset: full, small (both small sets), small1 or small2.
        size: Height and width, up to 105.
        held_out: drawings (of each character the last two of its 20 drawings are to test, the two
            before to validate) or alphabets (of the full set: the background set is to train, but
            for the last two drawings of each character, which are to validate; the evaluation set,
            20 other alphabets, is to test).
        label: The class of an image: its alphabet or its character.
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        subset: Subset = "full",
        size: int = 28,
        held_out: HeldOut = "drawings",
        label: Label = "alphabet",
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, **kwargs)
        given: dict[str, str] = {"subset": subset, "held_out": held_out, "label": label}
        for (name, value), words in zip(given.items(), (Subset, HeldOut, Label), strict=True):
            if value not in get_args(words):
                known = ", ".join(get_args(words))
                raise ValueError(f"unknown {name} {value!r} of Omniglot: choose from {known}")
        if not 1 <= size <= SIDE:
            raise ValueError(f"size must be from 1 to {SIDE}, got {size}")
        if held_out == "alphabets" and subset != "full":
            raise ValueError(
                f"held_out alphabets is for the full set, not for {subset}: use drawings"
            )
        self.subset, self.label = subset, label
        self.by_alphabet = held_out == "alphabets"
        self.image_shape = (1, size, size)
        self._of_splits: dict[str, list[_Drawing]] = {}

    def prepare_data(self) -> None:
        if absent := [name for name in ZIPS[self.subset] if self._path(name) is None]:
            layout = " and ".join(f"{FOLDERS[0]}/{name}.zip" for name in absent)
            missing = not_found("Omniglot", data_dir() / FOLDERS[0], layout)
            fetch(
                "Omniglot",
                sum(MEGABYTES[name] for name in absent),
                missing,
                FOLDERS[0],
                [f"{SOURCE}/{name}.zip" for name in absent],
            )

    def load(self) -> dict[str, Tensor]:
        drawings = self._drawings()
        return {name: self._pixels(these) for name, these in drawings.items()}

    def load_labels(self) -> dict[str, Tensor]:
        drawings = self._drawings()
        names = {name: [self._class(each) for each in these] for name, these in drawings.items()}
        classes = sorted({name for split in names.values() for name in split})
        numbers = {name: number for number, name in enumerate(classes)}
        return {
            split: torch.tensor([numbers[name] for name in found], dtype=torch.int64)
            for split, found in names.items()
        }

    def _class(self, drawing: _Drawing) -> str:
        both = f"{drawing.alphabet}/{drawing.character}"
        return drawing.alphabet if self.label == "alphabet" else both

    def _path(self, name: str) -> Path | None:
        return find("Omniglot", [data_dir() / folder for folder in FOLDERS], [f"{name}.zip"])

    def _drawings(self) -> dict[str, list[_Drawing]]:
        """The drawings of each split; the files are sorted by alphabet, so they are mixed."""
        self.prepare_data()
        found: dict[str, list[_Drawing]] = {"train": [], "val": [], "test": []}
        seen = set()
        for name in ZIPS[self.subset]:
            for drawing in self._read(name):
                if drawing[:3] in seen:  # in both of the small sets
                    continue
                seen.add(drawing[:3])
                found[self._split(name, drawing)].append(drawing)
        for number, drawings in enumerate(found.values()):
            mixing = torch.Generator().manual_seed(number)
            order = torch.randperm(len(drawings), generator=mixing).tolist()
            drawings[:] = [drawings[n] for n in order]
        return found

    def _split(self, name: str, drawing: _Drawing) -> str:
        """The split of a drawing in a file of that name."""
        last = drawing.drawer > DRAWINGS - 2
        if self.by_alphabet:
            return "test" if name == "images_evaluation" else "val" if last else "train"
        return "test" if last else "val" if drawing.drawer > DRAWINGS - 4 else "train"

    def _read(self, name: str) -> Iterator[_Drawing]:
        """The drawings in a zip, whose entries are SET/ALPHABET/CHARACTER/NUMBER_DRAWER.png.

        Raises:
            ValueError: If it is not Omniglot's.
        """
        path = self._path(name)
        assert path is not None, "prepared before"
        try:
            content = path.read_bytes()
            assert_md5(content, MD5[name])
            with ZipFile(BytesIO(content)) as archive:
                entries = sorted(entry for entry in archive.namelist() if entry.endswith(".png"))
                found = [(entry.split("/")[-3:], archive.read(entry)) for entry in entries]
            for (alphabet, character, file), png in found:
                drawer = int(file.removesuffix(".png").rpartition("_")[2])
                yield _Drawing(alphabet, character, drawer, png)
        except (ValueError, BadZipFile) as error:
            raise ValueError(
                f"{path} is not Omniglot's file ({error}); delete it to download it again, or"
                " fetch it anew"
            ) from None

    def _pixels(self, drawings: list[_Drawing]) -> Tensor:
        """The images of drawings, uint8 (N, 1, size, size)."""
        import numpy
        from PIL import Image

        made = torch.empty(len(drawings), *self.image_shape, dtype=torch.uint8)
        for first in range(0, len(drawings), 1000):
            chunk = drawings[first : first + 1000]
            images = [Image.open(BytesIO(drawing.png)).convert("L") for drawing in chunk]
            paper = torch.from_numpy(numpy.stack([numpy.asarray(image) for image in images]))
            made[first : first + 1000] = self._resized(paper.unsqueeze(1))
        return made

    def _resized(self, paper: Tensor) -> Tensor:
        """Strokes in white, at the size asked for."""
        ink = 255 - paper
        size = self.image_shape[1:]
        if size == ink.shape[-2:]:
            return ink
        small = interpolate(ink.float(), size, mode="bilinear", antialias=True)
        return small.round().to(torch.uint8)
