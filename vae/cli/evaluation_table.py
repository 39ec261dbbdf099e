"""The table of an evaluation: every number with what it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["duration", "in_words", "print_evaluation"]


OWN_COLUMNS = {
    "mean",
    "se",
    "unit",
    "bound",
    "part",
    "images",
    "asked",
    "binarization",
    "seed",
    "seconds",
    "warning",
}
"""What has a column of its own, or a line beneath the table."""


def print_evaluation(title: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints the numbers of an evaluation, a section for each part, and their warnings.

    Arguments:
        title: What stands above the table.
        rows: The numbers by name, as :func:`vae.cli.evaluation_file.entry` makes them.
    """
    table = Table("", "value", "", "what it is", "images", "with", "seconds")
    for column in (1, 4, 6):
        table.columns[column].justify = "right"
    seen: str | None = None
    for name, row in rows.items():
        first = row.get("part") != seen
        if first and seen is not None:
            table.add_section()
        seen = row.get("part")
        images = f"{row['images']:,}"
        if "asked" in row:
            images += f" of {row['asked']:,}"
        cells = [
            name + ("  !" if row.get("warning") else ""),
            in_words(row),
            str(row.get("unit", "nats")),
            str(row.get("bound", "")),
            images,
            ", ".join(
                f"{key.replace('_', ' ')} {_short(row[key])}"
                for key in row
                if key not in OWN_COLUMNS and not isinstance(row[key], list)  # those are JSON's
            ),
            f"{row['seconds']:,.0f}" if first and "seconds" in row else "",
        ]
        table.add_row(*map(escape, cells))  # E_q[z] is no markup
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    console.print(title, style="bold", markup=False)
    console.print(table)
    for name, row in rows.items():
        if row.get("warning"):
            console.print(f"! {name}: {row['warning']}", soft_wrap=True, markup=False)


def in_words(row: Mapping[str, Any]) -> str:
    """A number with its standard error, with as many digits as that makes sense of."""
    value, error = row["mean"], row.get("se")
    if value is None:
        return "-"
    if error is None:
        return f"{value:,.4g}" if abs(value) < 1 or value != int(value) else f"{value:,.0f}"
    digits = 2 if error >= 0.005 else 4
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Seconds in words: about how long something takes."""
    for size, word in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{max(1, seconds):.0f} s"
