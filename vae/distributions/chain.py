r"""Chains of conditional distributions as one distribution: stochastic layers, one above the other.

.. math:: q(z_1, \dots, z_L) = q(z_1) \prod_{l > 1} q(z_l | z_{l-1})

A value is the layers side by side, :math:`(z_1, \dots, z_L)`, one tensor with as many variables as
all of them have together. So whatever takes a distribution takes a chain: the score function its
joint ``log_prob``, the pathwise derivative its joint ``rsample``, and the exact sum its support. The
prior of such a model is a chain too, drawn from the top down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.func import functional_call
from torch.types import _size

from vae.distributions.operations import (
    base_of,
    configurations,
    describe,
    joint_support,
    parameters,
    rebuild,
    select,
    support,
)

__all__ = ["Chain", "Link"]


@dataclass(frozen=True)
class Link:
    """The law of a layer given the one before it, :math:`q(z_l | z_{l-1})`.

    Arguments:
        module: Values ``(*, *event)`` of the layer before, to a distribution with batch shape
            ``(*)``, of the same kind of variables.
        size: How many variables it has.
        has_rsample: Whether it can be drawn with a path to its parameters.
        values: What stands for the module's parameters, by name; None for its own.
    """

    module: nn.Module
    size: int
    has_rsample: bool = False
    values: Mapping[str, Tensor] | None = None

    def __call__(self, z: Tensor) -> Distribution:
        if self.values is None:
            return self.module(z)  # type: ignore[no-any-return]
        return functional_call(self.module, dict(self.values), (z,))  # type: ignore[no-any-return]

    def parameters(self) -> dict[str, Tensor]:
        """What the law depends on besides the layer before, by name."""
        return dict(self.module.named_parameters() if self.values is None else self.values)


class Chain(Distribution):
    r"""Creates the joint distribution of layers, each drawn given the one before.

    All layers have variables of one kind: all real, all binary, or all one-hot with as many
    categories. With D variables in all, an event is ``(D,)``, or ``(D, C)`` of C categories.

    Arguments:
        first: The layer that is drawn first, with event shape ``(D_1,)`` or ``(D_1, C)``.
        links: The laws of the others, in the order of drawing.
        reverse: Whether a value has the layers in the reverse order: a prior is drawn from the top
            down, and has the lowest layer first.

    Raises:
        ValueError: If the first layer is no vector of variables.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> class Given(torch.nn.Linear):
        ...     def forward(self, z):
        ...         return Independent(Normal(super().forward(z), 1.0), 1)
        >>> first = Independent(Normal(torch.zeros(5, 3), 1.0), 1)
        >>> q = Chain(first, [Link(Given(3, 2), 2, has_rsample=True)])
        >>> q.rsample((7,)).shape, q.log_prob(q.sample()).shape
        (torch.Size([7, 5, 5]), torch.Size([5]))
    """

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, first: Distribution, links: Sequence[Link], reverse: bool = False) -> None:
        if not first.event_shape:
            raise ValueError(f"a layer of a chain is a vector of variables, not {describe(first)}")
        self.first, self.links, self.reverse = first, tuple(links), reverse
        number, *self.variable_shape = first.event_shape
        drawn = [number, *(link.size for link in self.links)]
        self.sizes: tuple[int, ...] = tuple(reversed(drawn) if reverse else drawn)
        self.has_rsample = first.has_rsample and all(link.has_rsample for link in links)
        self.stratified = getattr(base_of(first), "stratified", False)
        event = Size([sum(drawn), *self.variable_shape])
        super().__init__(first.batch_shape, event, validate_args=False)

    @property
    def support(self) -> Constraint | None:
        return self.first.support  # independent variables, of which it does not say how many

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return base_of(self.first).has_enumerate_support

    @property
    def num_layers(self) -> int:
        """L."""
        return len(self.sizes)

    def split(self, value: Tensor) -> tuple[Tensor, ...]:
        """The layers of values ``(*, *event)``, in their order in the value."""
        return value.split(self.sizes, dim=-1 - len(self.variable_shape))

    def join(self, layers: Sequence[Tensor]) -> Tensor:
        """The value of layers in the order of drawing."""
        ordered = list(reversed(layers) if self.reverse else layers)
        return torch.cat(ordered, dim=-1 - len(self.variable_shape))

    def laws(self, value: Tensor) -> list[Distribution]:
        """The law of each layer given the one drawn before it, in the order of drawing."""
        return self._laws(self._drawn(value))

    def log_probs(self, value: Tensor) -> list[Tensor]:
        """The log-density of each layer given the one drawn before it, in the order of drawing."""
        drawn = self._drawn(value)
        return [p.log_prob(z) for p, z in zip(self._laws(drawn), drawn, strict=True)]  # type: ignore[no-untyped-call]

    def log_prob(self, value: Tensor) -> Tensor:
        first, *others = self.log_probs(value)
        return sum(others, start=first)

    def follow(self, draw: Callable[[Distribution], Tensor], first: Tensor) -> Tensor:
        """A value of which one layer after the other is some function of its law.

        Arguments:
            draw: From a layer's law, with any batch shape, to a value of it: its draw, its mode.
            first: The value of the layer that is drawn first.
        """
        layers = [first]
        for link in self.links:
            layers.append(draw(link(layers[-1])))
        return self.join(layers)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        with torch.no_grad():
            return self.follow(lambda law: law.sample(), self.first.sample(sample_shape))

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        if not self.has_rsample:
            raise NotImplementedError(f"{describe(self)} has no rsample")
        return self.follow(lambda law: law.rsample(), self.first.rsample(sample_shape))

    def _drawn(self, value: Tensor) -> tuple[Tensor, ...]:
        layers = self.split(value)
        return layers[::-1] if self.reverse else layers

    def _laws(self, drawn: Sequence[Tensor]) -> list[Distribution]:
        return [self.first, *(link(z) for link, z in zip(self.links, drawn, strict=False))]

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> Chain:
        return Chain(self.first.expand(Size(batch_shape)), self.links, self.reverse)


@describe.register
def _(q: Chain) -> str:
    return f"Chain({describe(q.first)}, {q.num_layers} layers)"


@parameters.register
def _(q: Chain) -> dict[str, Tensor]:
    found = [parameters(q.first), *(link.parameters() for link in q.links)]
    return {f"{i}.{name}": p for i, part in enumerate(found, 1) for name, p in part.items()}


@rebuild.register
def _(q: Chain, **changes: Tensor) -> Chain:
    changed: list[dict[str, Tensor]] = [{} for _ in q.sizes]
    for path, value in changes.items():
        number, _, name = path.partition(".")
        changed[int(number) - 1][name] = value
    links = [
        replace(link, values=link.parameters() | part) if part else link
        for link, part in zip(q.links, changed[1:], strict=True)
    ]
    return Chain(rebuild(q.first, **changed[0]), links, q.reverse)


@select.register
def _(q: Chain, some: slice) -> Chain:
    return Chain(select(q.first, some), q.links, q.reverse)


@configurations.register
def _(q: Chain) -> int:
    return int(_values(q).shape[0] ** sum(q.sizes))


@support.register
def _(q: Chain, first: int = 0, last: int | None = None) -> Tensor:
    return joint_support(q, _values(q), Size([sum(q.sizes)]), first, last)


def _values(q: Chain) -> Tensor:
    """The values of one variable, ``(C, *variable)``."""
    base = base_of(q.first)
    if not base.has_enumerate_support:
        raise NotImplementedError(f"{describe(q)} has no finite support to enumerate")
    return base.enumerate_support(expand=False).reshape(-1, *q.variable_shape)
