"""A distribution once for each image, whatever its family can do."""

from __future__ import annotations

from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.types import _size

__all__ = ["Repeated", "repeated"]


class Repeated(Distribution):
    """A distribution of batch shape () as one of batch shape ``batch_shape``.

    Arguments:
        once: The distribution, of which ``sample`` and ``log_prob`` are enough.
        batch_shape: The shape.
    """

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, once: Distribution, batch_shape: Size) -> None:
        self.once = once
        super().__init__(batch_shape, once.event_shape, validate_args=False)

    @property
    def support(self) -> Constraint | None:
        return self.once.support

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        return self.once.sample(Size([*sample_shape, *self.batch_shape]))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.once.log_prob(value)  # type: ignore[no-any-return, no-untyped-call]


def repeated(once: Distribution, batch_shape: Size) -> Distribution:
    """A distribution of batch shape () expanded, by its family's ``expand`` if it has one."""
    try:
        return once.expand(batch_shape)
    except NotImplementedError:
        return Repeated(once, batch_shape)
