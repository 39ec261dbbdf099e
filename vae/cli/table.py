"""The table of names and values that training and evaluation print."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

__all__ = ["print_table"]


def print_table(title: str, rows: Mapping[str, object]) -> None:
    """Prints a small table of names and values, in nats per image."""
    table = Table("", "nats an image")
    table.columns[1].justify = "right"
    for name, value in rows.items():
        table.add_row(name, str(value))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    console.print(title, style="bold")  # as the table's own title it would wrap at its width
    console.print(table)
    if any(name.endswith("rate_mc") for name in rows):
        print("rate_mc: KL(q || p) has no closed form here, and is estimated from the samples")
