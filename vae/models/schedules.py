"""Schedules of a buffer: temperature, beta."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

from torch import nn

__all__ = ["Anneal"]


class Anneal:
    """Fills every buffer of a name by a schedule: a pure function of the optimiser step, so that
    a resumed run is on it too.

    A buffer, because a Python number that changes would be compiled anew, and because a
    checkpoint keeps it.

    Arguments:
        name: The buffer's own name, wherever it is in the module: ``temperature``, ``beta``.
        schedule: Step to value.
        every: Steps between updates.
    """

    def __init__(self, name: str, schedule: Callable[[int], float], every: int = 1) -> None:
        self.name, self.schedule, self.every = name, schedule, every

    @staticmethod
    def exponential(start: float, minimum: float, rate: float) -> Callable[[int], float]:
        """max(minimum, start * exp(-rate * step)): Jang et al. (2017), section 4."""
        return lambda step: max(minimum, start * math.exp(-rate * step))

    @staticmethod
    def linear(end: float, steps: int) -> Callable[[int], float]:
        """From 0 to ``end`` in so many steps."""
        return lambda step: end * min(1.0, step / steps)

    def is_over(self, step: int) -> bool:
        """Whether the value changes no more from this step on."""
        return self.schedule(step) == self.schedule(sys.maxsize)

    def apply(self, module: nn.Module, step: int) -> None:
        """Fills the buffers, if it is their step."""
        if step % self.every == 0:
            value = self.schedule(step)
            for name, buffer in module.named_buffers():
                if name.rpartition(".")[2] == self.name:
                    buffer.fill_(value)
