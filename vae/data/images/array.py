"""Arrays of images of one's own, in a file of NumPy or of torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy
import torch
from torch import Tensor

from vae.data.batch import DataError
from vae.data.images.memory import ImagesInMemory
from vae.data.images.splitting import SPLITS, assert_fractions, parts_of, refuse_fractions
from vae.data.loader import Binarization

__all__ = ["Array"]


Layout = Literal["NCHW", "NHWC"]

IN_SPLITS = ("{split}_images", "images_{split}", "x_{split}", "X_{split}", "{split}")
LABELS_IN_SPLITS = ("{split}_labels", "labels_{split}", "y_{split}", "Y_{split}")
ALL = ("images", "x", "X", "data", "arr_0")
ALL_LABELS = ("labels", "targets", "y", "Y", "arr_1")
"""The keys that are tried, of images and of labels."""


class Array(ImagesInMemory):
    """The images in a ``.npz``, ``.npy`` or ``.pt`` file.

    A file holds one array of images, of which a fraction, drawn by a seed, is to validate, and one
    to test; or, in a ``.npz`` or as a mapping of tensors in a ``.pt``, an array of each split, and labels.
    By default the usual keys are tried: ``train_images``, ``x_train``, ``train``; ``images``, ``x``, ``data``; with
    ``train_labels``, ``y_train``; ``labels``, ``targets``, ``y``.

    Images are uint8, bool, or floats in [0, 1], which are rounded to 256 levels; of shape (N, H, W),
    (N, C, H, W) or (N, H, W, C).

    Arguments:
        path: The file.
        images: The key of the images, with {split} in it where each split has its own, as in
            "x_{split}".
        labels: The key of the labels, likewise.
        layout: NCHW or NHWC, where the shape alone does not say: of 1 or 3 channels it does.
        val_fraction: Of the images, to validate; by default 0.1.
        test_fraction: Of the images, to test; by default 0.1.
        split_seed: What draws them; by default 0.
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        binarization: By default none: levels as they are.

    Raises:
        ValueError: If an argument is out of range.
        FileNotFoundError: If there is no such file.
    """

    paths = ("path",)

    def __init__(
        self,
        path: str,
        images: str | None = None,
        labels: str | None = None,
        layout: Layout | None = None,
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
        self.path = Path(path)
        if layout is not None and layout not in get_args(Layout):
            raise ValueError(f"unknown layout {layout!r}: choose from NCHW, NHWC")
        self.images_key, self.labels_key, self.layout = images, labels, layout
        self.fractions = assert_fractions(val_fraction, test_fraction)
        self.split_seed = split_seed or 0
        self._given = (val_fraction, test_fraction, split_seed)
        if not self.path.is_file():
            raise FileNotFoundError(
                f"{self.path} is not there: path names a .npz, .npy or .pt file"
            )

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """Channels, height and width: those of the training images."""
        _, channels, height, width = self._images["train"].shape
        return (channels, height, width)

    def prepare_data(self) -> None:
        _ = self._images

    def load(self) -> dict[str, Tensor]:
        return self._images

    def load_labels(self) -> dict[str, Tensor]:
        held = self._content
        keys = [self.labels_key] if self.labels_key else [*LABELS_IN_SPLITS, *ALL_LABELS]
        name = next((key for key in keys if _has(held, key)), None)
        if name is None:
            if self.labels_key:
                raise DataError(f"{self.path} has no {self.labels_key}: it has {_listed(held)}")
            return {}
        rows = {key: labels.flatten() for key, labels in _of_splits(held, name).items()}
        return rows if "{split}" in name else self._parted(rows[name])

    @cached_property
    def _content(self) -> dict[str, Tensor]:
        """The arrays in the file by their keys.

        Raises:
            DataError: If it cannot be read.
        """
        try:
            if self.path.suffix == ".pt":
                found = torch.load(self.path, map_location="cpu", weights_only=True)
            elif self.path.suffix in (".npz", ".npy"):
                found = numpy.load(self.path, allow_pickle=False)
            else:
                raise ValueError("its name ends in none of .npz, .npy and .pt")
            held = dict(found) if isinstance(found, (Mapping, numpy.lib.npyio.NpzFile)) else None
            arrays = {"images": found} if held is None else held
            return {str(key): torch.as_tensor(array) for key, array in arrays.items()}
        except Exception as error:  # of many kinds, NumPy's and torch's
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(f"{self.path} cannot be read: {reason}") from None

    @cached_property
    def _images(self) -> dict[str, Tensor]:
        """The images of each split, uint8 (N, C, H, W).

        Raises:
            DataError: If there are none, or they are no images.
        """
        held = self._content
        keys = [self.images_key] if self.images_key else [*IN_SPLITS, *ALL]
        name = next((key for key in keys if _has(held, key)), None)
        if name is None:
            raise DataError(
                f"{self.path} has no images under {' or '.join(keys)}: it has {_listed(held)}; name"
                " their key, as in --data.images photos or --data.images photos_{split}"
            )
        arrays = _of_splits(held, name)
        images = {key: self._levels(self._shaped(x, key), key) for key, x in arrays.items()}
        if "{split}" in name:
            refuse_fractions(str(self.path), *self._given)
            return images
        return self._parted(images[name])

    def _parted(self, rows: Tensor) -> dict[str, Tensor]:
        parts = parts_of(len(rows), self.fractions, self.split_seed)
        return {split: rows[part] for split, part in parts.items()}

    def _shaped(self, x: Tensor, key: str) -> Tensor:
        """Images as (N, C, H, W)."""
        if x.dim() == 3:
            x = x.unsqueeze(1)
        elif x.dim() == 4 and (layout := self.layout or _layout_of(x)):
            x = x if layout == "NCHW" else x.permute(0, 3, 1, 2)
        else:
            said = (
                "its layout is not plain: give --data.layout NCHW or NHWC" if x.dim() == 4 else ""
            )
            raise DataError(
                f"{self.path} holds {key} of shape {tuple(x.shape)}:"
                f" {said or 'expected (N, H, W), (N, C, H, W) or (N, H, W, C)'}"
            )
        if not x.numel():
            raise DataError(f"{self.path} holds no images: {key} has the shape {tuple(x.shape)}")
        return x

    def _levels(self, x: Tensor, key: str) -> Tensor:
        """Images as uint8, of which 255 is white."""
        if x.dtype == torch.bool:
            return x.to(torch.uint8) * 255
        least, most = (
            (float(value) for value in torch.aminmax(x)) if not x.is_complex() else (0, 0)
        )
        if x.dtype == torch.uint8:
            if most == 1:
                raise DataError(
                    f"{self.path} holds {key} in uint8 of 0 and 1 alone, where 255 is white: store"
                    " them as bool, or multiply them by 255"
                )
            return x.contiguous()
        kind = str(x.dtype).removeprefix("torch.")
        if not x.is_floating_point():
            raise DataError(
                f"{self.path} holds {key} in {kind}: store uint8, bool, or floats in [0, 1]"
            )
        if not (least >= 0 and most <= 1):  # NaN too
            raise DataError(
                f"{self.path} holds {key} from {least:.3g} to {most:.3g}: floats must be in [0, 1]"
            )
        return (x * 255).round().to(torch.uint8).contiguous()


def _layout_of(x: Tensor) -> str:
    """The layout that a shape says; empty if it says none, or both."""
    found = [name for name, dim in (("NCHW", 1), ("NHWC", 3)) if x.shape[dim] in (1, 3)]
    return found[0] if len(found) == 1 else ""


def _has(held: Mapping[str, Tensor], key: str) -> bool:
    """Whether a file has arrays under a key, of the training images where {split} is in it."""
    return "train" in _of_splits(held, key) if "{split}" in key else key in held


def _of_splits(held: Mapping[str, Tensor], key: str) -> dict[str, Tensor]:
    """The arrays under a key: by their split where {split} is in it, else by the key."""
    if "{split}" not in key:
        return {key: held[key]} if key in held else {}
    return {
        split: held[key.format(split=word)]
        for split, words in SPLITS.items()
        for word in words
        if key.format(split=word) in held
    }


def _listed(held: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(x.shape)}" for name, x in held.items()) or "nothing"
