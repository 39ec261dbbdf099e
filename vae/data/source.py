"""The interface between data and the rest of the library.

The rest of the library uses only what an :class:`ImageSource` has. Our own data modules are such
sources; any other ``LightningDataModule`` becomes one by :func:`images_of`. A source needs no
Lightning: what only looks at images, as ``vae evaluate`` does, need not import it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from vae.data.batch import DataError

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule

__all__ = ["Batches", "ImageSource", "image_shape_of", "images_of", "mean_of"]


class Batches(Protocol):
    """An epoch's batches, float images ``(B, C, H, W)`` in [0, 1] on one device."""

    @property
    def batch_size(self) -> int:
        """Images a batch; the last one may be smaller."""

    def epoch(self) -> int:
        """The number of the present epoch."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Tensor]: ...

    def batches(self, first: int = 0, epoch: int | None = None) -> Iterator[Tensor]:
        """The batches of an epoch, by default the present one, from number ``first`` on."""


class ImageSource(ABC):
    """Images that can be asked for by split: ``train``, ``val`` or ``test``.

    Attributes:
        image_shape: Channels, height and width.
        binarization: ``dynamic``, ``static``, ``none``, or None where the data do not say.
        batch_size: Images a training batch.
        steps_per_batch: Optimiser steps in one step of the Lightning loop.
        trainer: Lightning's, of a data module that it trains on.
        paths: The names of arguments that are paths: a run's configuration has them absolute.
    """

    image_shape: tuple[int, int, int]
    binarization: str | None
    batch_size: int
    steps_per_batch: int
    trainer: Any = None
    paths: tuple[str, ...] = ()

    def prepare_data(self) -> None:  # noqa: B027  # there may be nothing to do
        """Finds or downloads the data.

        Raises:
            FileNotFoundError: If they are not there.
        """

    def setup(self, stage: str | None = None) -> None:  # noqa: B027
        """Loads the images of a stage, ``fit`` or ``test``, or of all; a second time does nothing."""

    def report(self) -> str:
        """Finds or downloads the data, loads and verifies them; returns a line about them.

        Raises:
            FileNotFoundError: If they are not there.
            ValueError: If a file is damaged.
        """
        self.prepare_data()
        self.setup()
        words = {"train": "training", "val": "validation", "test": "test"}
        counts = {word: self.count(split) for split, word in words.items()}
        images = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
        labels, sides = self.labels("train"), " x ".join(map(str, self.image_shape))
        classes = "no labels" if labels is None else f"{len(labels.unique())} classes"
        return f"{type(self).__name__}: {images or 'any number of'} images of {sides}; {classes}"

    @abstractmethod
    def count(self, split: str) -> int | None:
        """The number of images in a split: 0 without one, None where it cannot be told."""

    @abstractmethod
    def batches(self, split: str, world_size: int = 1) -> int | None:
        """The number of batches of a split in each of several processes, or None if unknown."""

    @abstractmethod
    def loader(
        self,
        split: str,
        device: torch.device | str | None = None,
        train: bool = False,
        batch_size: int | None = None,
        limit: int | None = None,
    ) -> Batches:
        """The batches of a split.

        Arguments:
            split: ``train``, ``val`` or ``test``.
            device: Where the images are to be; by default the trainer's, or the CPU.
            train: Whether they are to be trained on: then the order changes with the epoch.
            batch_size: Images a batch; by default what the data module says.
            limit: Serve the first so many images only.
        """

    def labels(self, split: str, limit: int | None = None) -> Tensor | None:
        """The class of each image, int64 ``(N,)`` on the CPU; None where the data have none.

        They are in the order in which ``loader(split)`` serves images that are not trained on.

        Arguments:
            split: ``train``, ``val`` or ``test``.
            limit: Those of the first so many images only.

        Raises:
            FileNotFoundError: If their file is not there.
            DataError: If there are not as many as images.
        """
        return None

    def mean_image(self) -> Tensor:
        """The mean of the training images, ``(C, H, W)`` with values in [0, 1], on the CPU."""
        total, count = torch.zeros(self.image_shape, dtype=torch.float64), 0
        for x in self.loader("train"):
            total += x.double().sum(0).cpu()
            count += len(x)
        return (total / max(count, 1)).float()

    @property
    @abstractmethod
    def is_binary(self) -> bool:
        """Whether every pixel is 0 or 1."""

    @property
    def levels(self) -> int | None:
        """Of how many values, evenly spaced on [0, 1], each pixel is one: 2 of binary pixels.

        None where there are none, or it is unknown."""
        return 2 if self.is_binary else None

    @property
    def pixels(self) -> str:
        """What the pixels are, in words: for titles and messages."""
        if self.binarization is not None:
            return f"{self.binarization} binarisation"
        return "binary pixels" if self.is_binary else "grey pixels"

    @property
    def promise(self) -> str | None:
        """What a run on these data cannot guarantee, in one line; None if nothing."""
        return None

    def describe(self) -> dict[str, Any]:
        """The class path and arguments of the data module (:mod:`vae.data.description`)."""
        from vae.data.description import describe_data

        return describe_data(self)

    def assert_served(self) -> None:  # noqa: B027
        """Looks at the first batch of every split, before anything is trained.

        Raises:
            DataError: If there is no training batch, or one does not hold images.
        """

    def share(self, other: ImageSource) -> None:
        """Takes over the images and the trainer of ``other``, and serves them in its own order."""
        raise NotImplementedError(f"{type(self).__name__} cannot share its images")

    def held_out(self) -> str:
        """The split to show images of: the first of val, test and train that has any."""
        return next(s for s in ("val", "test", "train") if s == "train" or self.count(s) != 0)


def images_of(
    data: LightningDataModule | ImageSource,
    seed: int | None = None,
    described: dict[str, Any] | None = None,
) -> ImageSource:
    """The images of a data module: itself if it is an ``ImageSource``, else a wrapper around it.

    Arguments:
        data: Any data module, or a source.
        seed: What the order of a plain module's training images follows from, as far as it can.
        described: The class path and arguments of a plain module, where a configuration says them.

    Raises:
        DataError: If it serves no images.
    """
    if isinstance(data, ImageSource):
        return data
    from vae.data.plain import plain_images  # Lightning's: whoever has such a module has it too

    return plain_images(data, seed, described)


def image_shape_of(data: LightningDataModule | ImageSource) -> tuple[int, int, int]:
    """The shape (C, H, W) of a data module's images, as it says, or as its first batch has it.

    Raises:
        DataError: If it has no training images.
    """
    source = images_of(data)
    if not hasattr(source, "image_shape"):
        name = type(data).__name__
        raise DataError(f"{name} has no image_shape: define it, as in image_shape = (1, 8, 8)")
    return source.image_shape


def mean_of(data: LightningDataModule | ImageSource | None) -> Tensor:
    """The mean of a data module's training images, ``(C, H, W)``.

    Raises:
        DataError: If there is no data module.
    """
    if data is None:
        raise DataError(
            "the model is to be centred by the mean of the training images: train it with a data"
            " module, or give it the mean by vae.models.centering.center(module, lambda: mean)"
        )
    return images_of(data).mean_image()
