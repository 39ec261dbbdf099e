"""What distributions over grey levels share: a pixel is k / 255, for k from 0 to 255."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = ["HIGHEST", "Levels", "level_of"]


HIGHEST = 255
"""The number of the highest level."""


class _OnLevels(constraints.Constraint):
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        level = level_of(value)
        return (level >= 0) & (level <= HIGHEST) & ((HIGHEST * value - level).abs() < 1e-3)


def level_of(value: Tensor) -> Tensor:
    """The nearest level's number k, as floating-point numbers."""
    return (HIGHEST * value).round()


class Levels(Distribution):
    """A distribution over levels; :meth:`log_prob_of_level` says which.

    ``log_prob`` is that of the level next to the value: it is a log-probability, not a density.
    """

    support = _OnLevels()
    arg_constraints: dict[str, constraints.Constraint] = {}

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return self.log_prob_of_level(level_of(value))

    @abstractmethod
    def log_prob_of_level(self, level: Tensor) -> Tensor:
        """The log-probability of level number k, of the distribution's shape."""

    @property
    def probs(self) -> Tensor:
        """The probability of every level, ``(*, 256)``."""
        every = torch.arange(HIGHEST + 1.0, device=self.mean.device, dtype=self.mean.dtype)
        every = every.view(-1, *[1] * len(self.batch_shape))
        return self.log_prob_of_level(every).exp().movedim(0, -1)
