"""The table of several seeds of several variants: means, standard errors, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from vae.cli.console import console, is_narrow, print_list

__all__ = ["print_summary"]


def print_summary(title: str, rows: Mapping[str, Any], metrics: Sequence[str]) -> None:
    """Prints a table of variants.

    Arguments:
        title: Above the table.
        rows: Of each variant, its metrics as :func:`summed_up` returns them.
        metrics: Which metrics to show. The first is compared with the first variant's.
    """
    columns = [*metrics]
    if len(rows) > 1:
        columns.append(f"{metrics[0]}, minus {next(iter(rows))}'s, paired")
    lines = []
    for label, row in rows.items():
        cells = [_text(row[metric]) for metric in metrics]
        if len(rows) > 1:
            cells.append(_text(row[metrics[0]].get("difference")))
        lines.append([label, *cells])
    out = console()
    out.print(title, style="bold", markup=False)
    if is_narrow(out):
        for label, *cells in lines:
            pairs = zip(columns, cells, strict=True)
            print_list(out, [(label, [f"{name}: {cell}" for name, cell in pairs])])
        return
    if out.width < len("variant") + 3 * len(columns) + sum(map(len, columns)) + 4:
        table = Table("variant", "", "")  # a line a number
        for label, *cells in lines:
            for number, (name, cell) in enumerate(zip(columns, cells, strict=True)):
                table.add_row("" if number else label, name, cell)
            table.add_section()
    else:
        table = Table("variant", *columns)
        for line in lines:
            table.add_row(*line)
    table.columns[0].overflow = "fold"
    out.print(table)


def _text(value: Mapping[str, Any] | None) -> str:
    if not value or "mean" not in value:
        return "-"
    error = "" if value["se"] is None else f" ± {value['se']:.2f}"
    return f"{value['mean']:.2f}{error}"
