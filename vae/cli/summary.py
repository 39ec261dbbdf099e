"""The table of several seeds of several variants: means, standard errors, paired differences."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["print_summary"]


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
