"""Batches made on the device that holds the images, without workers.

Order and binarisation are pure functions of (seed, epoch, batch), and of nothing else, so that an
epoch can be entered at any batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor

__all__ = ["Binarization", "ImageLoader", "StepLoader", "Steps", "binarize", "mix_seeds"]


Binarization = Literal["dynamic", "static", "none"]


def binarize(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draws pixels from Bernoulli(v / 255) for uint8 images of grey level v.

    A uniform integer of 0..254 is below v with probability v / 255 exactly; five times cheaper
    than ``torch.bernoulli`` on a CPU.
    """
    return torch.empty_like(images).random_(0, 255, generator=generator) < images


def mix_seeds(*parts: int) -> int:
    """Mixes integers into a seed: neighbouring (seed, epoch, batch) give unrelated generators."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class ImageLoader:
    """Float batches ``(B, *image)`` in [0, 1], made on the device that holds the images.

    Arguments:
        images: All images, uint8 with shape ``(N, *image)``.
        batch_size: Images a batch; the last batch of an epoch may be smaller.
        binarization: ``dynamic`` draws at each presentation, anything else scales.
        seed: With the epoch, what determines order and binarisation.
        shuffle: Whether the order changes with the epoch; else it is that of the file, and every
            epoch is the same.
        epoch: Tells the epoch when an iteration starts.
        rank: This process's number among ``world_size``; each sees its share of every epoch.
        world_size: The number of processes.
    """

    def __init__(
        self,
        images: Tensor,
        batch_size: int,
        binarization: Binarization,
        seed: int,
        shuffle: bool = False,
        epoch: Callable[[], int] = lambda: 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.images, self.batch_size, self.binarization = images, batch_size, binarization
        self.seed, self.shuffle, self.epoch = seed, shuffle, epoch
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        share = len(self.images) // self.world_size
        return -(-share // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        return self.batches()

    def batches(self, first: int = 0, epoch: int | None = None) -> Iterator[Tensor]:
        """The batches of an epoch, by default the present one, from number ``first`` on."""
        device = self.images.device
        epoch = (self.epoch() if epoch is None else epoch) if self.shuffle else 0
        noise = torch.Generator(device)
        share = len(self.images) // self.world_size
        if self.shuffle:
            order_generator = torch.Generator().manual_seed(mix_seeds(self.seed, epoch))
            order = torch.randperm(len(self.images), generator=order_generator)
        else:
            order = torch.arange(len(self.images))
        order = order[self.rank :: self.world_size][:share].to(device)
        for batch, index in enumerate(order.split(self.batch_size)):
            if batch < first:
                continue
            x = self.images.index_select(0, index)
            if self.binarization == "dynamic":
                noise.manual_seed(mix_seeds(self.seed, epoch, batch, self.rank))
                yield binarize(x, noise).float()
            else:
                yield x.float().div_(255)


class Steps:
    """The batches of a few optimiser steps in a row, each made when it is asked for.

    Arguments:
        batches: Where they come from.
        count: How many.
        started: Is told the batch's number in this group, before it is handed out.
    """

    def __init__(
        self, batches: Iterator[Tensor], count: int, started: Callable[[int], None]
    ) -> None:
        self.batches, self.count, self.started = batches, count, started

    def __iter__(self) -> Iterator[Tensor]:
        for number in range(self.count):
            self.started(number)
            yield next(self.batches)


class StepLoader:
    """An epoch in groups of ``steps`` batches, for a training step that takes several optimiser
    steps.

    Its state, which Lightning keeps in a checkpoint, is how far the epoch is; an epoch that was
    interrupted goes on there.

    Arguments:
        loader: The batches.
        steps: Batches a group; the last group of an epoch may be smaller.
        limit: The number of batches after which an epoch ends, or None for all.
    """

    def __init__(self, loader: ImageLoader, steps: int, limit: int | None = None) -> None:
        self.loader, self.steps = loader, steps
        self.total = len(loader) if limit is None else min(limit, len(loader))
        self.first = self.done = 0
        self.epoch = -1  # the one to which first belongs

    def __len__(self) -> int:
        return -(-self.total // self.steps)

    def __iter__(self) -> Iterator[Steps]:
        first, self.first = self.first, 0
        if self.loader.epoch() != self.epoch:  # the state was one of another epoch
            first = 0
        self.done = first
        batches = self.loader.batches(first)
        while first < self.total:  # a group that was cut short is completed first
            count = min(self.steps - first % self.steps, self.total - first)
            yield Steps(batches, count, self._counter(first))
            first += count

    def _counter(self, start: int) -> Callable[[int], None]:
        def started(number: int) -> None:
            self.done = start + number + 1

        return started

    def _shape(self) -> dict[str, int]:
        return {"batch_size": self.loader.batch_size, "steps_per_batch": self.steps}

    def state_dict(self) -> dict[str, int]:
        """The number of batches of this epoch that are done, of how many."""
        done = self.done % self.total
        position = {"epoch": self.loader.epoch(), "batch": done, "total": self.total}
        return position | self._shape()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Makes the next epoch start where the state was taken.

        Raises:
            MisconfigurationException: If that is inside an epoch with other batches.
        """
        for name, value in self._shape().items():
            if state["batch"] and state[name] != value:
                raise MisconfigurationException(
                    f"the checkpoint was written inside an epoch with {name} {state[name]}, not"
                    f" {value}: continue with the same"
                )
        self.first = self.done = state["batch"]
        self.epoch = state["epoch"]
