"""Several seeds of several variants summed up: means, standard errors, differences paired by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

__all__ = ["statistics", "summed_up"]


def statistics(values: Sequence[float]) -> dict[str, float | None]:
    """The mean and its standard error; None for that of a single value."""
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return {"mean": round(mean(values), 4), "se": None if error is None else round(error, 4)}


def summed_up(values: Mapping[str, Sequence[float | None]]) -> dict[str, dict[str, Any]]:
    """Sums up one metric of several variants.

    Arguments:
        values: By variant, a value for each seed, in the same order of seeds; None for a seed
            without a value.

    Returns:
        By variant, ``values``; ``mean`` and ``se`` of those that are not None; and for all variants
        but the first ``difference``, mean and se of the differences to the first one, seed by seed.
    """
    first = next(iter(values))
    rows: dict[str, dict[str, Any]] = {}
    for label, own in values.items():
        known = [value for value in own if value is not None]
        rows[label] = (statistics(known) if known else {}) | {"values": list(own)}
        pairs = zip(own, values[first], strict=True)
        gaps = [a - b for a, b in pairs if a is not None and b is not None]
        if label != first and gaps:
            rows[label]["difference"] = statistics(gaps)
    return rows
