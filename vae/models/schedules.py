"""Schedules of a buffer, such as the temperature or beta, over the optimiser's steps."""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from collections.abc import Mapping

from torch import nn

from vae.models.no_effect import refuse
from vae.recorded import Recorded

__all__ = ["ExponentialDecay", "LinearWarmup", "Schedule", "Scheduled", "assert_scheduled", "fill"]


class Schedule(metaclass=Recorded):
    """A value as a function of the optimiser step alone, so that a resumed run is on it too.

    A model has schedules by the name of the buffer that they fill: ``temperature``, ``beta``. It is a
    buffer, because a Python number that changes would be compiled anew.

    Attributes:
        every: Steps between updates.
    """

    every: int = 1

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The value at a step, counted from 0."""

    def is_over(self, step: int) -> bool:
        """Whether the value changes no more from this step on."""
        return self(step) == self(sys.maxsize)


class ExponentialDecay(Schedule):
    r"""Creates an exponential decay from a start to a minimum.

    .. math:: \max(\mathrm{minimum}, \mathrm{start} \cdot e^{-\mathrm{rate} \cdot t})

    References:
        | Categorical Reparameterization with Gumbel-Softmax (Jang, Gu & Poole, 2017), section 4.1
        | (https://arxiv.org/abs/1611.01144).

    Arguments:
        start: The value at step 0.
        minimum: Where the decay stops.
        rate: The rate of the decay, a step.
        every: Steps between updates.
    """

    def __init__(
        self, start: float = 1.0, minimum: float = 0.5, rate: float = 3e-5, every: int = 500
    ) -> None:
        if not 0 < minimum <= start < math.inf:
            raise ValueError(
                f"a decay needs 0 < minimum <= start, got minimum {minimum} and start {start}"
            )
        if not 0 <= rate < math.inf or every < 1:
            raise ValueError(f"rate must be >= 0 and every >= 1, got {rate} and {every}")
        self.start, self.minimum, self.rate, self.every = start, minimum, rate, every

    def __call__(self, step: int) -> float:
        return max(self.minimum, self.start * math.exp(-self.rate * step))


class LinearWarmup(Schedule):
    """Creates a straight line from 0, which is reached at step 0, to a final value.

    Arguments:
        steps: The step at which the final value is reached.
        end: The final value.
    """

    def __init__(self, steps: int, end: float = 1.0) -> None:
        if steps < 1 or not math.isfinite(end):
            raise ValueError(f"steps must be >= 1 and end finite, got {steps} and {end}")
        self.steps, self.end = steps, end

    def __call__(self, step: int) -> float:
        return self.end * min(1.0, step / self.steps)


class Scheduled:
    """The buffers of a module that schedules fill, whose places are looked up once.

    Arguments:
        module: The module, on its device.
        schedules: By the name of a buffer, whatever submodule it is in.
    """

    def __init__(self, module: nn.Module, schedules: Mapping[str, Schedule]) -> None:
        paths = [path.rpartition(".") for path, _ in module.named_buffers()]
        self.filled = [
            (schedule, name, [module.get_submodule(p) for p, _, found in paths if found == name])
            for name, schedule in schedules.items()
        ]

    def fill(self, step: int) -> None:
        """Fills them with their values at an optimiser step, counted from 0."""
        for schedule, name, parts in self.filled:
            if step % schedule.every == 0:
                value = schedule(step)
                for part in parts:  # ``module.double()`` puts another buffer there
                    getattr(part, name).fill_(value)


def fill(module: nn.Module, schedules: Mapping[str, Schedule], step: int) -> None:
    """Fills the buffers of a module by their schedules, where it is their step."""
    Scheduled(module, schedules).fill(step)


def assert_scheduled(module: nn.Module, schedules: Mapping[str, Schedule]) -> None:
    """Refuses a schedule that has nothing to fill.

    Raises:
        ValueError: If a name is that of no buffer.
    """
    names = {path.rpartition(".")[2] for path, _ in module.named_buffers()}
    for name in schedules:
        if name not in names:
            refuse(
                f"schedules: the model has no buffer {name!r} to fill; it has"
                f" {', '.join(sorted(names)) or 'none'}"
            )
