"""Tables in the terminal: as wide as it is, and 80 columns in a file or a pipe.

On a terminal too narrow for a table, its rows are a list.

``COLUMNS=160 vae estimators > file`` writes a wide one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["console", "is_narrow", "print_fitted", "print_list"]


LEAST = 72
"""Columns that a table takes at least, to be read with ease."""


def console() -> Console:
    """A console of the width that the reader has."""
    return Console(highlight=False)


def is_narrow(out: Console) -> bool:
    """Whether rows are to be a list, and no table."""
    return out.width < LEAST


def print_list(out: Console, rows: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Prints rows without a table: the name of each, and lines below it.

    Arguments:
        out: The console.
        rows: Names and lines.
    """
    for name, lines in rows:
        out.print(Text(name, style="bold", overflow="fold"))
        for line in lines:
            out.print(Padding(Text(line), (0, 0, 0, 2), expand=False))


def print_fitted(
    out: Console,
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    fold: Callable[[Sequence[str]], str],
    least: int,
) -> None:
    """Prints a table of words whose first column is a name, which is never broken.

    Arguments:
        out: The console.
        headers: Of the columns.
        rows: The words.
        fold: Says what stands beside the name where all other columns are one.
        least: The width below which they are.
    """
    if is_narrow(out):
        print_list(out, ((row[0], fold(row).split("\n")) for row in rows))
        return
    narrow = out.width < least
    table = Table(*(headers[:1] if narrow else headers), show_lines=narrow)
    table.columns[0].no_wrap = True
    if narrow:
        table.add_column("")
    for row in rows:
        cells = [row[0], fold(row)] if narrow else row
        table.add_row(*map(Text, cells))
    out.print(table)
