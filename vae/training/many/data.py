"""The data of many models, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from vae.data.loader import StepLoader
from vae.data.source import Batches, ImageSource

__all__ = ["EnsembleData", "StackedBatches"]


class StackedBatches:
    """The batches of several loaders of equal length, side by side: ``(S, B, *image)``."""

    def __init__(self, loaders: Sequence[Batches]) -> None:
        self.loaders = list(loaders)

    @property
    def batch_size(self) -> int:
        """Images a batch of one model."""
        return self.loaders[0].batch_size

    def epoch(self) -> int:
        return self.loaders[0].epoch()

    def __len__(self) -> int:
        return len(self.loaders[0])

    def __iter__(self) -> Iterator[Tensor]:
        return self.batches()

    def batches(self, first: int = 0, epoch: int | None = None) -> Iterator[Tensor]:
        """The batches of an epoch, by default the present one, from number ``first`` on."""
        own = [loader.batches(first, epoch) for loader in self.loaders]
        return map(torch.stack, zip(*own, strict=True))


class EnsembleData(ImageSource, LightningDataModule):
    """The data of S models: training batches of all side by side, ``(S, B, *image)``.

    Each model has its own order and binarisation; what they are evaluated on is the same for all,
    ``(B, *image)``.

    Arguments:
        members: The data module of each, all on the same images.
    """

    def __init__(self, members: Sequence[ImageSource]) -> None:
        super().__init__()
        self.members: list[Any] = list(members)  # data modules of Lightning's too
        first = members[0]
        self.image_shape, self.binarization = first.image_shape, first.binarization
        self.steps_per_batch = first.steps_per_batch

    @property
    def batch_size(self) -> int:  # type: ignore[override]
        """Images a step, of all models together."""
        return sum(member.batch_size for member in self.members)

    @property
    def is_binary(self) -> bool:
        return self.members[0].is_binary

    @property
    def levels(self) -> int | None:
        return self.members[0].levels

    @property
    def promise(self) -> str | None:
        return self.members[0].promise

    def count(self, split: str) -> int | None:
        return self.members[0].count(split)

    def batches(self, split: str, world_size: int = 1) -> int | None:
        return self.members[0].batches(split, world_size)

    def loader(self, split: str, *args: Any, **kwargs: Any) -> Batches:
        """What all models are evaluated on; as of the first model's data."""
        return self.members[0].loader(split, *args, **kwargs)

    def mean_image(self) -> Tensor:
        mean: Tensor = self.members[0].mean_image()
        return mean

    def assert_served(self) -> None:
        self.members[0].assert_served()

    def prepare_data(self) -> None:
        self.members[0].prepare_data()

    def setup(self, stage: str | None = None) -> None:
        first, *others = self.members
        first.trainer = self.trainer
        first.setup(stage)
        for member in others:
            member.share(first)

    def train_dataloader(self) -> StepLoader:
        """The training epoch in groups of ``steps_per_batch`` optimiser steps."""
        stacked = StackedBatches([member.loader("train", train=True) for member in self.members])
        trainer = self.trainer
        if trainer is None:
            return StepLoader(stacked, self.steps_per_batch)
        limit = trainer.limit_train_batches
        batches = limit if isinstance(limit, int) else None
        return StepLoader(stacked, self.steps_per_batch, batches, lambda: trainer.global_step)

    def val_dataloader(self) -> Any:
        return self.members[0].val_dataloader()

    def test_dataloader(self) -> Any:
        return self.members[0].test_dataloader()

    def state_dict(self) -> dict[str, Any]:
        return {"members": [member.state_dict() for member in self.members]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for member, state in zip(self.members, state_dict["members"], strict=True):
            member.load_state_dict(state)
