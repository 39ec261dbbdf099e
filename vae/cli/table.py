"""The table of names and values that training and evaluation print."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from vae.cli.console import console, is_narrow, print_list

__all__ = ["print_table"]


def print_table(title: str, rows: Mapping[str, object]) -> None:
    """Prints a small table of names and values, in nats per image."""
    table = Table("", "nats an image")
    table.columns[1].justify = "right"
    for name, value in rows.items():
        table.add_row(name, str(value))
    out = console()
    out.print(title, style="bold")  # as the table's own title it would wrap at its width
    if is_narrow(out):
        print_list(out, ((name, [f"{value} nats an image"]) for name, value in rows.items()))
    else:
        out.print(table)
    if any(name.endswith("rate_mc") for name in rows):
        print("rate_mc: KL(q || p) has no closed form here, and is estimated from the samples")
