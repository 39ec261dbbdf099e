"""Tables in the terminal: as wide as it is, and 80 columns in a file or a pipe.

``COLUMNS=160 vae estimators > file`` writes a wide one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["console", "fitted"]


def console() -> Console:
    """A console of the width that the reader has."""
    return Console(highlight=False)


def fitted(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    fold: Callable[[Sequence[str]], str],
    width: int,
    least: int,
) -> Table:
    """A table of words whose first column is a name, which is never broken.

    Arguments:
        headers: Of the columns.
        rows: The words.
        fold: Says what stands beside the name where all other columns are one.
        width: The reader's.
        least: The width below which they are.
    """
    narrow = width < least
    table = Table(*(headers[:1] if narrow else headers), show_lines=narrow)
    table.columns[0].no_wrap = True
    if narrow:
        table.add_column("")
    for row in rows:
        cells = [row[0], fold(row)] if narrow else row
        table.add_row(*map(Text, cells))
    return table
