"""Batches made on the device that holds the images, without workers.

Order and binarisation are pure functions of (seed, epoch, batch), and of nothing else, so that an
epoch can be entered at any batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

import torch
from torch import Tensor

from vae.data.source import Batches
from vae.seeds import mix_seeds

__all__ = ["Binarization", "ImageLoader", "StepLoader", "binarize", "mix_seeds"]


Binarization = Literal["dynamic", "static", "none"]


def binarize(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draws pixels from Bernoulli(v / 255) for uint8 images of grey level v.

    A uniform integer of 0..254 is below v with probability v / 255 exactly; five times cheaper
    than ``torch.bernoulli`` on a CPU.
    """
    return torch.empty_like(images).random_(0, 255, generator=generator) < images


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


class StepLoader:
    """The batches of an epoch in groups, for a training step that takes several optimiser steps.

    Yields an iterator over each group; a group of one is its batch. The state, which Lightning
    keeps in a checkpoint, is the position in the epoch, from which an interrupted epoch goes on.

    Arguments:
        loader: The batches.
        steps: Batches a group; the last group of an epoch may be smaller.
        limit: The number of batches after which an epoch ends, or None for all.
        trained: Returns the number of optimiser steps that the trainer has taken so far.
    """

    def __init__(
        self,
        loader: Batches,
        steps: int,
        limit: int | None = None,
        trained: Callable[[], int] = lambda: 0,
    ) -> None:
        self.loader, self.steps, self.trained = loader, steps, trained
        self.total = len(loader) if limit is None else min(limit, len(loader))
        self._epoch, self._first = -1, 0  # where a loaded state was taken
        self._begun: int | None = None  # optimiser steps before the first batch of this epoch

    def __len__(self) -> int:
        return -(-self.total // self.steps)

    def __iter__(self) -> Iterator[Tensor | Iterator[Tensor]]:
        # a loaded position counts once, and only in its own epoch
        first = self._first if self.loader.epoch() == self._epoch else 0
        self._first, self._begun = 0, self.trained() - first
        batches = self.loader.batches(first)
        while first < self.total:  # a group that was cut short is completed first
            count = min(self.steps - first % self.steps, self.total - first)
            yield next(batches) if self.steps == 1 else islice(batches, count)
            first += count

    @property
    def done(self) -> int:
        """The number of batches of this epoch that were trained on."""
        return self._first if self._begun is None else self.trained() - self._begun

    def state_dict(self) -> dict[str, int]:
        """The number of batches of this epoch that are done, of how many, and their grouping."""
        return {
            "epoch": self.loader.epoch(),
            "batch": self.done % self.total,
            "total": self.total,
            "batch_size": self.loader.batch_size,
            "steps_per_batch": self.steps,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Makes the next epoch start where the state was taken.

        Raises:
            MisconfigurationException: If that is inside an epoch with batches of another size.
        """
        size = self.loader.batch_size
        if state["batch"] and state["batch_size"] != size:
            from lightning.pytorch.utilities.exceptions import MisconfigurationException

            raise MisconfigurationException(
                f"the checkpoint was written inside an epoch with batch_size {state['batch_size']},"
                f" not {size}: continue with the same"
            )
        self._epoch, self._first, self._begun = state["epoch"], state["batch"], None
