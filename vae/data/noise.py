"""A stream of random numbers of its own for code that draws from the global generators."""

from __future__ import annotations

import random
from typing import Any

import numpy
import torch

__all__ = ["Noise"]


class Noise:
    """While entered, the CPU generators of torch, NumPy and ``random`` are a stream of their own.

    Each time it is entered the stream goes on where it was left; outside, nothing has changed.

    Example::

        noise = Noise(seed)
        with noise:
            batch = next(iterator)  # whatever it draws follows from the seed

    Arguments:
        seed: Where the stream starts.
    """

    def __init__(self, seed: int) -> None:
        before = _states()
        torch.default_generator.manual_seed(seed)
        numpy.random.seed(seed % 2**32)
        random.seed(seed)
        self._states = _states()
        _restore(before)

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: Any) -> None:
        self._swap()

    def _swap(self) -> None:
        now = _states()
        _restore(self._states)
        self._states = now


def _states() -> tuple[Any, ...]:
    return torch.default_generator.get_state(), numpy.random.get_state(), random.getstate()


def _restore(states: tuple[Any, ...]) -> None:
    torch.default_generator.set_state(states[0])
    numpy.random.set_state(states[1])
    random.setstate(states[2])
