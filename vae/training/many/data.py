"""The data of many models, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from vae.data.source import Batches, ImageSource

__all__ = ["EnsembleData", "StackedLoader"]


class StackedLoader:
    """The batches of several loaders of equal length, side by side."""

    def __init__(self, loaders: Sequence[Batches]) -> None:
        self.loaders, self.total = list(loaders), len(loaders[0])

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[Tensor]:
        return map(torch.stack, zip(*self.loaders, strict=True))


class EnsembleData(LightningDataModule):
    """The data of S models: training batches of all side by side, ``(S, B, *image)``.

    Each model has its own order and binarisation; what they are evaluated on is the same for all,
    ``(B, *image)``.

    Arguments:
        members: The data module of each, all on the same images.
    """

    def __init__(self, members: Sequence[ImageSource]) -> None:
        super().__init__()
        self.members = list(members)

    @property
    def batch_size(self) -> int:
        """Images a step, of all models together."""
        return sum(member.batch_size for member in self.members)

    def prepare_data(self) -> None:
        self.members[0].prepare_data()

    def setup(self, stage: str | None = None) -> None:
        first, *others = self.members
        first.trainer = self.trainer
        first.setup(stage)
        for member in others:
            member.share(first)

    def train_dataloader(self) -> StackedLoader:
        return StackedLoader([member.loader("train", train=True) for member in self.members])

    def val_dataloader(self) -> Any:
        return self.members[0].val_dataloader()

    def test_dataloader(self) -> Any:
        return self.members[0].test_dataloader()
