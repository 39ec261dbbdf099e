"""Several seeds of several variants summed up: means, standard errors, paired differences."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["print_summary", "statistics", "summed_up"]


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


def print_summary(title: str, rows: Mapping[str, Any], metrics: Sequence[str]) -> None:
    """Prints a table of variants.

    Arguments:
        title: Above the table.
        rows: Of each variant, its metrics as :func:`summed_up` returns them.
        metrics: Which metrics to show. The first is compared with the first variant's.
    """
    table = Table("variant", *metrics, title=title, title_justify="left")
    if len(rows) > 1:
        table.add_column(f"{metrics[0]}, minus {next(iter(rows))}'s, paired")
    for label, row in rows.items():
        cells = [_text(row[metric]) for metric in metrics]
        if len(rows) > 1:
            cells.append(_text(row[metrics[0]].get("difference")))
        table.add_row(label, *cells)
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


def _text(value: Mapping[str, Any] | None) -> str:
    if not value or "mean" not in value:
        return "-"
    error = "" if value["se"] is None else f" ± {value['se']:.2f}"
    return f"{value['mean']:.2f}{error}"
