"""Data sets as one uint8 tensor on the training device.

Binarisation, one of three:

* ``dynamic``: every presentation of an image draws its pixels anew from Bernoulli(grey level).
  Evaluation draws once, by a fixed seed.
* ``static``: drawn once, by a seed kept in the checkpoint, for training and evaluation alike.
* ``none``: grey levels in [0, 1].
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from vae.data.loader import Binarization, ImageLoader, StepLoader, binarize, mix_seeds

__all__ = ["ImageDataModule", "data_dir"]


def data_dir() -> Path:
    """Where data sets are: ``VAE_DATA_DIR`` if it is set, else the project's ``data`` folder."""
    named = os.environ.get("VAE_DATA_DIR", "").strip()
    return Path(named).expanduser() if named else Path(__file__).resolve().parents[2] / "data"


class ImageDataModule(LightningDataModule):
    """Splits and serves a data set of images; what its subclasses share.

    Attributes:
        image_shape: Channels, height, width.
    """

    image_shape: tuple[int, int, int]

    def __init__(
        self,
        batch_size: int,
        eval_batch_size: int,
        binarization: Binarization,
        seed: int,
        binarization_seed: int,
        steps_per_batch: int,
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
        self.binarization, self.seed, self.binarization_seed = (
            binarization,
            seed,
            binarization_seed,
        )
        self.splits: dict[str, Tensor] = {}

    def load(self) -> dict[str, Tensor]:
        """The splits ``train``, ``val`` and ``test``, uint8 with shape ``(N, *image_shape)``."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        for number, (name, images) in enumerate(self.load().items()):
            # The one draw of static data; and of what dynamic data are judged on, so that the
            # binary images are the same for every batch size.
            if self.binarization == "static" or (
                self.binarization == "dynamic" and name != "train"
            ):
                generator = torch.Generator().manual_seed(
                    mix_seeds(self.binarization_seed, number)
                )
                images = binarize(images, generator).to(torch.uint8) * 255
            self.splits[name] = images

    def loader(
        self,
        split: str,
        device: torch.device | str | None = None,
        train: bool = False,
        batch_size: int | None = None,
    ) -> ImageLoader:
        """The batches of a split; shuffled and drawn anew in each epoch if ``train``, else always
        the same."""
        trainer = self.trainer
        if device is None:
            device = trainer.strategy.root_device if trainer else torch.device("cpu")
        # to fit one batch over and over is a test of a model: its order and noise stay too
        repeats = bool(trainer and trainer.overfit_batches)  # type: ignore[attr-defined]
        if self.splits[split].device != torch.device(device):
            self.splits[split] = self.splits[split].to(device)
        return ImageLoader(
            self.splits[split],
            batch_size or (self.batch_size if train else self.eval_batch_size),
            self.binarization,
            self.seed if train else self.binarization_seed,
            shuffle=train,
            epoch=lambda: 0 if repeats or not trainer else trainer.current_epoch,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )

    def train_dataloader(self) -> StepLoader:
        """The training epoch in groups of ``steps_per_batch`` batches: the trainer's unit, of as
        many optimiser steps."""
        limit = self.trainer.limit_train_batches if self.trainer else None
        batches = limit if isinstance(limit, int) else None  # fractions: vae.training.limits
        return StepLoader(self.loader("train", train=True), self.steps_per_batch, batches)

    def val_dataloader(self) -> ImageLoader | list:
        return self.loader("val") if len(self.splits["val"]) else []

    def test_dataloader(self) -> ImageLoader:
        return self.loader("test")
