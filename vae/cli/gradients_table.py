"""The gradient report on the screen, and as JSON, CSV and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from torch import Tensor

from vae.analysis.gradient_words import COLUMNS, NOTES, in_digits, titles
from vae.cli.console import console, is_narrow, print_list
from vae.cli.latent_names import LAYERS
from vae.data.source import ImageSource
from vae.distributions.kinds import kind_of
from vae.estimators import ESTIMATORS
from vae.models.latents.hierarchy import Hierarchy
from vae.models.vae import VAE
from vae.pictures.gradients import draw, has_bias, ordered
from vae.pictures.style import save
from vae.run.files import write_json
from vae.whole_files import replace_text

__all__ = ["in_words", "write"]


NARROW = {
    key: name
    for key, name in COLUMNS.items()
    if key in ("label", "bias_squared", "variance", "snr", "cosine", "milliseconds")
}
"""And on another."""

WIDE = 150
"""Columns of a terminal from which on it is wide."""

LONGEST = max(map(len, ESTIMATORS))
"""Letters of a name, which is never broken."""


TITLES = {
    "binary": "binary",
    "one_hot": "one-hot",
    "relaxed_one_hot": "relaxed one-hot",
    "full_gaussian": "Gaussian (full covariance)",
    "logistic_normal": "logistic-normal",
    "power_spherical": "power spherical",
    "misvae": "MISVAE",
}
"""The names in titles of families that are not named after a person."""


def in_words(vae: VAE, x: Tensor) -> str:
    """The latent variables of a model, as a title names them."""
    names = {layer.func: name for name, layer in LAYERS.items()}
    latent, layers = vae.latent, ""
    if isinstance(latent, Hierarchy):
        layers = f" in layers of {' and '.join(map(str, latent.sizes))}"
        latent = latent.first
    name = names.get(type(latent), "")
    name = TITLES.get(name, name.replace("_", " ").title()) or type(latent).__name__
    shape = vae.posterior(x[:1]).event_shape
    what = "coordinates" if kind_of(vae.posterior(x[:1])) == "sphere" else "categories"
    categories = f" of {shape[1]} {what}" if len(shape) == 2 else ""
    return f"{shape[0]} {name} variables{categories}{layers}"


def data_in_words(data: ImageSource) -> str:
    """A data set, as a title names it."""
    name = getattr(data, "name", None)
    name = name if isinstance(name, str) else type(data).__name__
    return f"{name.removesuffix('DataModule')} ({data.pixels})"


def write(stem: Path, about: dict[str, Any], rows: list[dict[str, Any]], pdf: bool) -> None:
    """Prints the table, and writes it as JSON, CSV and a picture.

    Arguments:
        stem: The files' path without suffix.
        about: What was measured.
        rows: An estimator each.
        pdf: Whether the picture is written as PDF too, beside PNG.
    """
    write_json(Path(f"{stem}.json"), about | {"rows": rows})
    held = io.StringIO(newline="")
    writer = csv.DictWriter(held, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    replace_text(Path(f"{stem}.csv"), held.getvalue())
    title, how = titles(about)
    out = console()
    narrow = out.width < WIDE
    out.print(title, style="bold", markup=False)
    out.print(how, markup=False)
    if is_narrow(out):
        print_list(out, map(_lines, ordered(rows)))
    else:
        out.print(_table(rows, NARROW if narrow else COLUMNS))
    out.print(NOTES, markup=False)
    if narrow:
        out.print(f"Of the encoder, evaluations, memory: {stem}.csv", soft_wrap=True, markup=False)
    figure = draw(rows, title, how)
    suffixes = [".png", *([".pdf"] if pdf else [])]
    for suffix in suffixes:
        save(figure, Path(f"{stem}{suffix}"))
    print(f"written {stem}.json, .csv, {', '.join(suffixes)}")


def _table(rows: list[dict[str, Any]], columns: Mapping[str, str]) -> Table:
    wide = columns is COLUMNS
    table = Table("", box=box.HEAVY_HEAD if wide else box.SIMPLE_HEAD, collapse_padding=not wide)
    for header in columns.values():
        left = header == "estimator"
        least = LONGEST if left else None
        table.add_column(header, justify="left" if left else "right", min_width=least)
    shown = ordered(rows)
    for number, row in enumerate(shown):
        if number and (row["bias"] is None) != (shown[number - 1]["bias"] is None):
            table.add_section()
        cells = _cells(row, columns)
        if has_bias(row):
            place = list(columns).index("bias_squared")
            cells[place] = f"[bold]{cells[place]}[/bold]"
        table.add_row("✓" if row["bias"] is None else "", *cells)
    return table


def _cells(row: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    cells = {key: in_digits(row[key]) for key in columns}
    cells["bias_squared"] += f" ± {row['bias_error']:.1g}"
    return list(cells.values())


def _lines(row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A row of a list: the estimator, marked as in the table, and its numbers."""
    label, *cells = _cells(row, NARROW)
    numbers = [f"{name} {cell}" for name, cell in zip([*NARROW.values()][1:], cells, strict=True)]
    return ("✓ " if row["bias"] is None else "") + label, [", ".join(numbers)]
