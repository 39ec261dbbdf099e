"""How many bits a weight of a network needs: 16, or 32 where 16 change what it computes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from vae.pages.networks.tensors import neighbours, rounded
from vae.pages.networks.trace import Trace

__all__ = ["LARGEST_ERROR", "LARGEST_NATS", "Nats", "Precision", "precision_of"]

LARGEST_ERROR = 1e-3
"""What 16-bit weights may change in an output, in parts of its largest number or of 1."""

LARGEST_NATS = 1e-2
"""What they may change in densities and in a KL: a page shows a KL to this digit."""

MANY = 100
"""Nats, above which it is of no interest how many."""

Nats = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], float]
"""The exact outputs and others, by name, to how far apart they are."""


class Precision(NamedTuple):
    """What a network's weights are kept as.

    Attributes:
        wide: Whether they are float32.
        error: What 16 bits change in an output, in parts of its largest number or of 1.
    """

    wide: bool
    error: float


def precision_of(found: Trace, turned: set[str], called: str, nats: Nats | None) -> Precision:
    """The number of bits that a network needs; more than 16, or more than there are, are warned of.

    Arguments:
        found: The network, and what it is measured on.
        turned: Names of constants that are kept transposed.
        called: What the warning calls it.
        nats: What measures a change in nats, if anything does.
    """

    def narrow(name: str, value: Tensor) -> Tensor:
        return rounded(value.T).T if name in turned else rounded(value)

    exact, changed = found.evaluate(), found.evaluate(narrow)
    error = _error(exact, changed)
    apart = 0.0 if nats is None else nats(exact, changed)
    if error <= LARGEST_ERROR and apart <= LARGEST_NATS:
        return Precision(False, error)
    by = _in_nats(apart) if apart > LARGEST_NATS else f"{error:.1g} of its largest number"
    warnings.warn(
        f"{called}: its weights are kept in 32 bits, as 16 would change what it computes by {by}",
        stacklevel=3,
    )
    if nats is not None:
        generator = torch.Generator().manual_seed(0)
        least = nats(exact, found.evaluate(lambda _, value: neighbours(value, generator)))
        if least > LARGEST_NATS:
            warnings.warn(
                f"{called}: even with 32 bits, rounding changes it by about {_in_nats(least)}",
                stacklevel=3,
            )
    return Precision(True, error)


def _in_nats(apart: float) -> str:
    if apart >= MANY:
        return f"more than {MANY} nats"
    return f"{apart:.1g} nats" if apart < 1 else f"{apart:.0f} nats"


def _error(exact: Mapping[str, Tensor], changed: Mapping[str, Tensor]) -> float:
    """The largest difference, in parts of an output's largest number or of 1."""
    worst = 0.0
    for name, value in exact.items():
        same = (value == changed[name]) | (value.isnan() & changed[name].isnan())
        apart = (value - changed[name]).abs().nan_to_num(torch.inf).masked_fill(same, 0)
        finite = value[value.isfinite()].abs()
        scale = max(1.0, float(finite.max())) if len(finite) else 1.0
        worst = max(worst, float(apart.max()) / scale)
    return worst
