"""Loops run in turn in one process, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

import torch

from vae.devices import synchronize

__all__ = [
    *("LOGGED", "Loop", "Rounds", "against", "clock", "multiple", "rate", "steps_in"),
    "summary",
]

LOGGED = 50
"""Steps between those that are logged: a round has a multiple of them, that none escapes the cost."""


class Loop(Protocol):
    """A training loop that can be paused at any step."""

    def run(self, steps: int) -> int:
        """Takes so many optimiser steps; returns the number of images."""


def summary(values: list[float]) -> dict[str, float]:
    """Median and quartiles, to four digits."""
    q1, median, q3 = torch.tensor(values, dtype=torch.float64).quantile(
        torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    )
    return {
        name: float(f"{value:.4g}") for name, value in (("median", median), ("q1", q1), ("q3", q3))
    }


def clock(device: str) -> float:
    """Seconds, when all that was asked of the device is done."""
    synchronize(torch.device(device))
    return time.perf_counter()


def rate(loop: Loop, steps: int, device: str) -> float:
    """Images a second of so many steps."""
    started = clock(device)
    images = loop.run(steps)
    return images / (clock(device) - started)


def steps_in(seconds: float, loop: Loop, device: str, every: int = 1) -> int:
    """The steps that a loop takes in so many seconds, of which it takes a tenth here.

    Arguments:
        seconds: The time.
        loop: The loop.
        device: Where it runs.
        every: What the number shall be a multiple of; at least it.
    """
    loop.run(1)
    started, steps = clock(device), 0
    while not steps or clock(device) - started < seconds / 10:
        loop.run(1)
        steps += 1
    return multiple(seconds * steps / (clock(device) - started), every)


def multiple(number: float, every: int) -> int:
    """The multiple of ``every`` next to a number, and not 0."""
    return every * max(1, round(number / every))


class Rounds:
    """Runs other loops in turn with one that cannot be paused, from inside its steps.

    The first round only warms up.

    Arguments:
        host: The name of the loop that calls.
        steps: Its steps in a round.
        guests: The others, with their steps in a round.
        device: Where they run.
    """

    def __init__(
        self, host: str, steps: int, guests: Mapping[str, tuple[Loop, int]], device: str
    ) -> None:
        self.host, self.steps, self.guests, self.device = host, steps, guests, device
        self.all: dict[str, list[float]] = {name: [] for name in (host, *guests)}
        self.images, self.started, self.next = 0, clock(device), steps

    def on_step(self, step: int, images: int) -> None:
        """To be called by the host.

        Arguments:
            step: The number of steps that it has taken.
            images: Those of its steps since the last call.
        """
        self.images += images
        if step < self.next:
            return
        self.next += self.steps
        self.all[self.host].append(self.images / (clock(self.device) - self.started))
        for name, (loop, steps) in self.guests.items():
            self.all[name].append(rate(loop, steps, self.device))
        self.images, self.started = 0, clock(self.device)

    @property
    def rates(self) -> dict[str, list[float]]:
        """Images a second of each loop in each round."""
        return {name: values[1:] for name, values in self.all.items()}


def against(reference: str, rates: Mapping[str, list[float]]) -> dict[str, Any]:
    """Of each loop: images a second, and its ratio to the reference in the same round."""
    return {
        name: {
            "images_per_second": summary(values),
            "ratio": summary([a / b for a, b in zip(values, rates[reference], strict=True)]),
        }
        for name, values in rates.items()
    }
