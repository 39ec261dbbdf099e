"""Schedules of a buffer, such as the temperature or beta, over the optimiser's steps."""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor, nn

from vae.estimators import Estimator
from vae.models.no_effect import refuse
from vae.recorded import Recorded

__all__ = [
    "Cyclical",
    "ExponentialDecay",
    "LinearWarmup",
    "Schedule",
    "Scheduled",
    "SigmoidWarmup",
    "assert_scheduled",
    "fill",
    "scheduled",
]


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


class SigmoidWarmup(Schedule):
    r"""Creates a logistic curve from about 0 to a final value, half of which is reached midway.

    .. math:: \mathrm{end} \cdot \sigma\big(\mathrm{steepness} \cdot (t / \mathrm{steps} - \tfrac12)\big)

    References:
        | Generating Sentences from a Continuous Space (Bowman et al., 2016), section 3.1
        | (https://arxiv.org/abs/1511.06349).

    Arguments:
        steps: The step from which on the value is final.
        end: The final value.
        steepness: Of the curve, whose first value is ``sigmoid(-steepness / 2)`` of the final one.
    """

    def __init__(self, steps: int, end: float = 1.0, steepness: float = 12.0) -> None:
        if steps < 1 or not math.isfinite(end) or not 0 < steepness < math.inf:
            raise ValueError(
                "steps must be >= 1, end finite and steepness positive, got"
                f" {steps}, {end} and {steepness}"
            )
        self.steps, self.end, self.steepness = steps, end, steepness

    def __call__(self, step: int) -> float:
        if step >= self.steps:
            return self.end
        return self.end / (1 + math.exp(-self.steepness * (step / self.steps - 0.5)))


class Cyclical(Schedule):
    """Creates cycles, each of a rise from 0 to a final value and a stay there.

    References:
        | Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing (Fu et al., 2019),
        | equations 6 and 7 (https://arxiv.org/abs/1903.10145).

    Arguments:
        steps: Those of all cycles; from then on the value is final.
        cycles: Their number.
        proportion: The part of a cycle in which the value rises.
        end: The final value.
        shape: linear, or sigmoid, as :class:`SigmoidWarmup`.
    """

    def __init__(
        self,
        steps: int,
        cycles: int = 4,
        proportion: float = 0.5,
        end: float = 1.0,
        shape: Literal["linear", "sigmoid"] = "linear",
    ) -> None:
        if not 1 <= cycles <= steps or not 0 < proportion <= 1:
            raise ValueError(
                "cycles must be from 1 to steps, and proportion in (0, 1], got"
                f" {cycles} cycles in {steps} steps and {proportion}"
            )
        if shape not in SHAPES:
            raise ValueError(f"shape must be {' or '.join(SHAPES)}, got {shape!r}")
        self.steps, self.cycles, self.proportion, self.end = steps, cycles, proportion, end
        self.shape = shape
        rise = max(1, round(steps / cycles * proportion))
        self._rise = SHAPES[shape](rise, end)

    def __call__(self, step: int) -> float:
        if step >= self.steps:
            return self.end
        return self._rise(int(step % (self.steps / self.cycles)))

    def is_over(self, step: int) -> bool:
        return step >= self.steps


SHAPES: dict[str, Callable[[int, float], Schedule]] = {
    "linear": LinearWarmup,
    "sigmoid": SigmoidWarmup,
}


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
        estimators = [part for part in module.modules() if isinstance(part, Estimator)]
        self.told = [each for each in estimators if type(each).at_step is not Estimator.at_step]

    def fill(self, step: int) -> None:
        """Fills them with their values at an optimiser step, counted from 0.

        Estimators that depend on the step are told.
        """
        for estimator in self.told:
            estimator.at_step(step)
        for schedule, name, parts in self.filled:
            if step % schedule.every == 0:
                value = schedule(step)
                for part in parts:  # ``module.double()`` puts another buffer there
                    getattr(part, name).fill_(value)


def scheduled(module: nn.Module, schedules: Mapping[str, Schedule]) -> dict[str, Tensor]:
    """The buffers that are logged, by name: what schedules fill, beta and the temperature."""
    names = {"beta", "temperature", "phase", *schedules}
    found = {path.rpartition(".")[2]: value for path, value in module.named_buffers()}
    return {name: value for name, value in found.items() if name in names}


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
