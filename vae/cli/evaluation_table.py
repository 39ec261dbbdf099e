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

WIDE = ("", "value", "", "what it is", "images", "with", "seconds")
"""The columns of a table on a wide terminal, and in a file."""

WORDS = {"se_z": "error over z", "ess": "effective samples"}
"""How labels are said that are short in the JSON."""


NARROWEST = 110
"""Columns of a terminal below which what belongs to a number folds into one column."""


def print_evaluation(title: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints the numbers of an evaluation, a section for each part, and their warnings.

    Arguments:
        title: What stands above the table.
        rows: The numbers by name, as :func:`vae.cli.evaluation_file.entry` makes them.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    narrow = console.width < NARROWEST
    table = Table("", "value", "what it is") if narrow else Table(*WIDE)
    for column in table.columns:
        column.no_wrap = column.header not in ("with", "what it is")
        if column.header in ("value", "images", "seconds"):
            column.justify = "right"
    seen: str | None = None
    for name, row in rows.items():
        first = row.get("part") != seen
        if first and seen is not None:
            table.add_section()
        seen = row.get("part")
        marked = name + ("  !" if row.get("warning") else "")
        value, unit, bound = in_words(row), str(row.get("unit", "nats")), str(row.get("bound", ""))
        images = f"{row['images']:,}"
        if "asked" in row:
            images += f" of {row['asked']:,}"
        labels = _labels(row)
        seconds = f"{row['seconds']:,.0f}" if first and "seconds" in row else ""
        if narrow:
            about = [bound, f"{images} images", *labels, *([f"{seconds} s"] if seconds else [])]
            cells = [marked, f"{value} {unit}", ", ".join(about)]
        else:
            cells = [marked, value, unit, bound, images, ", ".join(labels), seconds]
        table.add_row(*map(escape, cells))  # E_q[z] is no markup
    console.print(title, style="bold", markup=False)
    console.print(table)
    for name, row in rows.items():
        if row.get("warning"):
            console.print(f"! {name}: {row['warning']}", soft_wrap=True, markup=False)


def _labels(row: Mapping[str, Any]) -> list[str]:
    """What belongs to a number beside what has a column, in words; lists are for the JSON alone."""
    said = []
    for key, value in row.items():
        if key in OWN_COLUMNS or isinstance(value, list):
            continue
        quantity, _, limit = key.rpartition("_over_")
        if quantity and isinstance(value, float):
            said.append(f"{quantity.replace('_', ' ')} > {limit} in {100 * value:.3g}% of images")
        else:
            said.append(f"{WORDS.get(key, key.replace('_', ' '))} {_short(value)}")
    return said


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
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def duration(seconds: float) -> str:
    """Seconds in words: about how long something takes."""
    for size, word in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{max(1, seconds):.0f} s"
