"""The batches of a user's data loader, drawn in an order that follows from (seed, epoch)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from vae.data.loader import mix_seeds
from vae.data.noise import Noise

__all__ = ["PlainLoader", "Rebatched", "is_empty"]


class PlainLoader:
    """The batches of a user's data loader, as :class:`vae.data.source.Batches`.

    Arguments:
        loader: What the user's data module returned: an iterable that can be iterated over again.
        read: Turns one of its batches into images ``(B, C, H, W)`` on the device.
        seed: With the epoch, what the loader's draws follow from.
        batch_size: Images a batch, as far as it is known.
        epoch: Tells the epoch when an iteration starts.
        rank: This process's number among ``world_size``, which take turns at the batches or, in an
            evaluation, have a part of each.
        world_size: The number of processes.
        evaluates: Whether this is an evaluation.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        read: Callable[[Any], Tensor],
        seed: int,
        batch_size: int,
        epoch: Callable[[], int] = lambda: 0,
        rank: int = 0,
        world_size: int = 1,
        evaluates: bool = False,
    ) -> None:
        self.loader, self.read, self.seed, self.batch_size = loader, read, seed, batch_size
        self.epoch, self.rank, self.world_size = epoch, rank, world_size
        self.evaluates = evaluates

    def __len__(self) -> int:
        total = len(self.loader)  # type: ignore[arg-type]
        return total if self.evaluates else total // self.world_size

    def __iter__(self) -> Iterator[Tensor]:
        return self.batches()

    def batches(self, first: int = 0, epoch: int | None = None) -> Iterator[Tensor]:
        """The batches of an epoch, by default the present one, from number ``first`` on.

        Those before it are read too, so that their draws are made.
        """
        rank, world_size = self.rank, self.world_size
        if world_size == 1:
            return islice(self._all(epoch), first, None)
        if self.evaluates:
            parts = (x[rank::world_size] for x in self._all(epoch) if len(x) >= world_size)
            return islice(parts, first, None)
        return islice(islice(self._all(epoch), rank, None, world_size), first, len(self))

    def _all(self, epoch: int | None) -> Iterator[Tensor]:
        """Every process's batches."""
        seed = mix_seeds(self.seed, self.epoch() if epoch is None else epoch)
        noise, end = Noise(seed), object()
        with noise:
            for generator in _own_generators(self.loader):
                generator.manual_seed(seed)
            iterator = iter(self.loader)
        while True:
            with noise:
                batch = next(iterator, end)
                if batch is end:
                    return
                images = self.read(batch)
            yield images


class Rebatched:
    """Batches of another size, cut from those of a loader.

    Arguments:
        loader: The loader.
        batch_size: Images a batch; the last one may be smaller.
        limit: The number of images after which the batches end, or None for all.
    """

    def __init__(self, loader: PlainLoader, batch_size: int, limit: int | None) -> None:
        self.loader, self.batch_size, self.limit = loader, batch_size, limit

    def epoch(self) -> int:
        return self.loader.epoch()

    def __len__(self) -> int:
        raise TypeError("the number of batches is known once they are read")

    def __iter__(self) -> Iterator[Tensor]:
        return self.batches()

    def batches(self, first: int = 0, epoch: int | None = None) -> Iterator[Tensor]:
        return islice(self._cut(epoch), first, None)

    def _cut(self, epoch: int | None) -> Iterator[Tensor]:
        held: list[Tensor] = []
        left = self.limit
        for x in self.loader.batches(0, epoch):
            x = x if left is None else x[:left]
            left = None if left is None else left - len(x)
            held.append(x)
            while sum(map(len, held)) >= self.batch_size:
                joined = torch.cat(held)
                yield joined[: self.batch_size]
                held = [joined[self.batch_size :]] if len(joined) > self.batch_size else []
            if left == 0:
                break
        if held:
            yield torch.cat(held)


def is_empty(loader: Any) -> bool:
    """Whether what a user's data module returned has no batches, as far as it says."""
    try:
        return loader is None or len(loader) == 0
    except TypeError:
        return False


def _own_generators(loader: Any) -> list[torch.Generator]:
    """Those that a data loader was given, in place of torch's global one."""
    sampler = getattr(loader, "sampler", None)
    found = [getattr(holder, "generator", None) for holder in (loader, sampler)]
    return [generator for generator in found if isinstance(generator, torch.Generator)]
