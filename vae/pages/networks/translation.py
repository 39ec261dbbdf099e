"""A list of operations in the making, and what makers of operations ask it.

An operation is ``{"op", "in", "out", "shape"}`` and what else it needs. Inputs are names of values, or
numbers. A size in a shape is a number n >= 0, or -k for k times the batch. There are no types: a truth
value is 0 or 1, a whole number is a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, fx

from vae.pages.networks.trace import BATCHES, NetworkError, Trace

__all__ = ["Maker", "Translation", "arguments"]


class Translation:
    """The operations of a graph, and the tensors that they need.

    Arguments:
        found: The graph, and its values.

    Attributes:
        operations: What the page runs.
        tables: Tensors that they need beside the graph's constants, by name.
        turned: Names of constants of which the transpose is among the tables.
    """

    def __init__(self, found: Trace) -> None:
        self.values, self.constants, self.twins = found.values, found.constants, found.twins
        self.operations: list[dict[str, Any]] = []
        self.tables: dict[str, Tensor] = {}
        self.turned: set[str] = set()

    def add(self, op: str, node: fx.Node, inputs: Sequence[Any], **options: Any) -> None:
        """Adds an operation whose result is the node's.

        Arguments:
            op: What the page calls it.
            node: Of the graph.
            inputs: Nodes, numbers, or names of tables.
            options: What else it needs.
        """
        self.operations.append(
            {
                "op": op,
                "in": [self._operand(each) for each in inputs],
                "out": node.name,
                "shape": self.shape(node.name),
                **options,
            }
        )

    def table(self, name: str, x: Tensor) -> str:
        """Takes in a tensor, and returns its name."""
        self.tables[name] = x
        return name

    def refuse(self, node: fx.Node, why: str = "") -> NoReturn:
        """Raises NetworkError."""
        raise NetworkError(" ".join(f"pages know no operation {node.target} {why}".split()))

    def is_constant(self, given: Any) -> bool:
        """Whether it depends on no input."""
        return not isinstance(given, fx.Node) or given.name in self.constants

    def value(self, node: fx.Node, size: int = 0) -> Tensor:
        """The example's value, of the smaller or the larger batch."""
        found: Tensor = self.values[node.name][size]
        return found

    def dim(self, node: fx.Node, dim: int) -> int:
        """A dimension, counted from the first."""
        return dim % max(self.value(node).dim(), 1)

    def shape(self, name: str) -> list[int]:
        """The shape of a value."""
        small, large = self.values[name]
        return self.sizes(small.shape, large.shape, name)

    def sizes(self, small: Sequence[Any], large: Sequence[Any], name: str) -> list[int]:
        """Numbers that are constant, or multiples of the batch: -k is k times the batch.

        Raises:
            NetworkError: If there are others.
        """
        found = []
        for few, many in zip(small, large, strict=True):
            times, rest = divmod(few, BATCHES[0])
            if few == many:
                found.append(few)
            elif rest or many != times * BATCHES[1]:
                raise NetworkError(
                    f"pages know only sizes that are constant or grow with the batch, and one of {name}"
                    f" is {few} of {BATCHES[0]} images, {many} of {BATCHES[1]}"
                )
            else:
                found.append(-times)
        return found

    def _operand(self, given: Any) -> str | float:
        """The name of a value, or a number."""
        if isinstance(given, str):
            return given
        if isinstance(given, fx.Node):
            return given.name
        number = float(given)
        if number != number or abs(number) == float("inf"):  # unknown to JSON
            return self.table(f"number_{number}", torch.tensor(number))
        return int(number) if number.is_integer() else number


Maker = Callable[[Translation, fx.Node, str], None]
"""Adds the operations of a node, whose operation has a name."""


def arguments(node: fx.Node, count: int) -> list[Any]:
    """So many of a node's positional arguments; None for those that were left out."""
    return [*node.args, *[None] * count][:count]
