"""The table of an evaluation: every number with what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from vae.cli.console import console, is_narrow, print_list
from vae.evaluation.words import in_words, labels_of

__all__ = ["duration", "print_evaluation"]


WIDE = ("", "value", "", "what it is", "images", "with", "seconds")
"""The columns of a table on a wide terminal."""

NARROWEST = 110
"""Columns of a terminal below which what belongs to a number folds into one column."""


def print_evaluation(title: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints the numbers of an evaluation, a section for each part, and their warnings.

    Arguments:
        title: What stands above the table.
        rows: The numbers by name, as :func:`vae.cli.evaluation_file.entry` makes them.
    """
    out = console()
    narrow, listed = out.width < NARROWEST, []
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
        labels = labels_of(row)
        seconds = f"{row['seconds']:,.0f}" if first and "seconds" in row else ""
        if narrow:
            about = [bound, f"{images} images", *labels, *([f"{seconds} s"] if seconds else [])]
            cells = [marked, f"{value} {unit}", ", ".join(about)]
            listed.append((marked, cells[1:]))
        else:
            cells = [marked, value, unit, bound, images, ", ".join(labels), seconds]
        table.add_row(*map(escape, cells))  # E_q[z] is no markup
    out.print(title, style="bold", markup=False)
    if is_narrow(out):
        print_list(out, listed)
    else:
        out.print(table)
    for name, row in rows.items():
        if row.get("warning"):
            out.print(f"! {name}: {row['warning']}", markup=False)


def duration(seconds: float) -> str:
    """Seconds in words: about how long something takes."""
    for size, word in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{max(1, seconds):.0f} s"
