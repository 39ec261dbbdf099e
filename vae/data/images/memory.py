"""Data sets held as one uint8 tensor on the training device.

Binarisation, one of three:

* ``dynamic``: every presentation of an image draws its pixels anew from Bernoulli(grey level).
  Evaluation draws once, by a fixed seed.
* ``static``: drawn once, by a seed kept in the checkpoint, for training and evaluation alike.
* ``none``: grey levels in [0, 1].
"""

from __future__ import annotations

from abc import abstractmethod
from typing import get_args

import torch
from torch import Tensor

from vae.data.batch import DataError
from vae.data.labels import assert_labels
from vae.data.loader import Binarization, ImageLoader, binarize, mix_seeds
from vae.data.source import ImageSource

__all__ = ["ImagesInMemory"]


class ImagesInMemory(ImageSource):
    """A data set of images that is held in memory, without Lightning.

    A subclass says what the images are, by :meth:`load` and ``image_shape``; and of what class each
    is, if it knows, by :meth:`load_labels`.
    :class:`vae.data.module.ImageDataModule` is the same for training.

    Arguments:
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        binarization: dynamic (pixels drawn anew at every presentation), static (drawn once) or
            none (grey levels).
        seed: The seed of the order of training images, and of their dynamic binarisation.
        binarization_seed: The seed of the static binarisation, and of the one draw that dynamic
            data are evaluated on: runs that differ only in ``seed`` are trained and judged on the same data.
        steps_per_batch: Optimiser steps in one step of the Lightning loop. It changes the speed, and
            how often signals and the clock are looked at, but no number.

    Attributes:
        image_shape: Channels, height, width.
        splits: The images of each split, uint8 with shape ``(N, *image_shape)``, once set up.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        batch_size: int = 64,
        eval_batch_size: int = 250,
        binarization: Binarization = "dynamic",
        seed: int = 0,
        binarization_seed: int = 0,
        steps_per_batch: int = 50,
    ) -> None:
        super().__init__()
        if batch_size < 1 or eval_batch_size < 1:
            raise ValueError(
                f"batch sizes must be at least 1, got {batch_size} and {eval_batch_size}"
            )
        if steps_per_batch < 1:
            raise ValueError(f"steps_per_batch must be at least 1, got {steps_per_batch}")
        if binarization not in get_args(Binarization):
            raise ValueError(
                f"unknown binarization {binarization!r}: choose from {', '.join(get_args(Binarization))}"
            )
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.steps_per_batch = steps_per_batch
        self.binarization: Binarization = binarization
        self.seed, self.binarization_seed = seed, binarization_seed
        self.splits: dict[str, Tensor] = {}
        self._black_and_white: bool | None = None
        self._judged: dict[str, Tensor] = {}
        self._classes: dict[str, Tensor] = {}  # of those splits whose labels were asked for
        if hasattr(self, "save_hyperparameters"):  # a Lightning data module: a subclass's too
            self.save_hyperparameters()

    @abstractmethod
    def load(self) -> dict[str, Tensor]:
        """The splits ``train``, ``val`` and ``test``, uint8 with shape ``(N, *image_shape)``.

        ``val`` and ``test`` may be left out."""

    def load_labels(self) -> dict[str, Tensor]:
        """The class of each image that :meth:`load` returns, in its order: int64 ``(N,)`` a split.

        It is called when labels are asked for; training needs none. A split may be left out."""
        return {}

    def labels(self, split: str, limit: int | None = None) -> Tensor | None:
        if split not in self._classes:
            found, name = self.load_labels(), type(self).__name__
            if not isinstance(found, dict):
                raise DataError(f"{name}.load_labels returns {type(found).__name__}, no dict")
            self._classes |= {
                each: assert_labels(labels, self.count(each), each, name)
                for each, labels in found.items()
                if each in self.splits
            }
        labels = self._classes.get(split)
        if labels is None or not self.trainer or self.trainer.world_size == 1:
            return None if labels is None else labels[:limit]
        labels, processes = labels[:limit], self.trainer.world_size
        return labels[self.trainer.global_rank :: processes][: len(labels) // processes]

    @property
    def is_binary(self) -> bool:
        return self.binarization != "none" or self._holds_binary()

    def _holds_binary(self) -> bool:
        """Whether the images are black and white by themselves, once they are set up."""
        if self._black_and_white is None and self.splits:
            splits = (images for images in self.splits.values() if len(images))
            self._black_and_white = all(
                bool(((part == 0) | (part == 255)).all())
                for images in splits
                for part in images.split(1000)
            )
        return bool(self._black_and_white)

    @property
    def levels(self) -> int:
        return 2 if self.is_binary else 256

    def count(self, split: str) -> int:
        return len(self.splits.get(split, ()))

    def batches(self, split: str, world_size: int = 1) -> int:
        size = self.batch_size if split == "train" else self.eval_batch_size
        return -(-(self.count(split) // world_size) // size)

    def mean_image(self) -> Tensor:
        """The mean of the grey levels, for dynamic data the mean of what is drawn of them."""
        levels = self.splits["train"]
        return (levels.sum(0, dtype=torch.int64).double() / (255 * len(levels))).float().cpu()

    def share(self, other: ImageSource) -> None:
        assert isinstance(other, ImagesInMemory)
        self.splits, self._classes, self.trainer = other.splits, other._classes, other.trainer

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        for number, (name, images) in enumerate(self._loaded().items()):
            # The one draw of static data; and of what dynamic data are judged on, so that the
            # binary images are the same for every batch size.
            if self.binarization == "static" or (
                self.binarization == "dynamic" and name != "train"
            ):
                images = self._drawn(images, number)
            self.splits[name] = images

    def _drawn(self, images: Tensor, number: int) -> Tensor:
        """The one draw of the pixels of split number ``number``."""
        generator = torch.Generator().manual_seed(mix_seeds(self.binarization_seed, number))
        return binarize(images.cpu(), generator).to(torch.uint8) * 255

    def _held(self, split: str, train: bool, device: torch.device) -> Tensor:
        """The images of a split on a device, to be trained on or to be judged on.

        To be judged on, the pixels of dynamic data are drawn once.
        """
        held = self.splits
        if split == "train" and not train and self.binarization == "dynamic":
            held = self._judged
            if split not in held:
                held[split] = self._drawn(self.splits[split], [*self.splits].index(split))
        if held[split].device != device:
            held[split] = held[split].to(device)
        return held[split]

    def _loaded(self) -> dict[str, Tensor]:
        """What a subclass loads, if it is what it must be."""
        splits, name, shape = self.load(), type(self).__name__, getattr(self, "image_shape", None)
        if shape is None:
            raise DataError(f"{name} has no image_shape: define it, as in image_shape = (1, 8, 8)")
        if not isinstance(splits, dict) or not len(splits.get("train", ())):
            raise DataError(f"{name}.load returns no training images under 'train'")
        for split, images in splits.items():
            if not isinstance(images, Tensor) or images.dtype != torch.uint8:
                kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
                raise DataError(f"{name}.load returns {kind} for {split!r}, not a uint8 tensor")
            if len(images) and tuple(images.shape[1:]) != tuple(shape):
                raise DataError(
                    f"{name}.load returns {split!r} with shape {tuple(images.shape)}, not"
                    f" (N, *image_shape) with image_shape {shape}"
                )
        return splits

    def loader(
        self,
        split: str,
        device: torch.device | str | None = None,
        train: bool = False,
        batch_size: int | None = None,
        limit: int | None = None,
    ) -> ImageLoader:
        """The batches of a split.

        With ``train``, each epoch has another order and other pixels; else all are the same, and of
        dynamic data the pixels are drawn once, whatever the size of a batch.
        """
        trainer = self.trainer
        if device is None:
            device = trainer.strategy.root_device if trainer else torch.device("cpu")
        # overfit_batches tests a model on the same batches over and over: same order, same pixels
        repeats = bool(trainer and trainer.overfit_batches)  # type: ignore[attr-defined]
        return ImageLoader(
            self._held(split, train, torch.device(device))[:limit],
            batch_size or (self.batch_size if train else self.eval_batch_size),
            self.binarization,
            self.seed if train else self.binarization_seed,
            shuffle=train,
            epoch=lambda: 0 if repeats or not trainer else trainer.current_epoch,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
