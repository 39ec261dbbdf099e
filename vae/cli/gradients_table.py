"""The gradient report on the screen, and as JSON, CSV and a picture."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from vae.cli.latent_names import LAYERS
from vae.data.source import ImageSource
from vae.distributions.kinds import kind_of
from vae.models.latents.hierarchy import Hierarchy
from vae.models.vae import VAE
from vae.objectives import OBJECTIVES
from vae.pictures.gradients import draw, has_bias, ordered
from vae.pictures.style import save
from vae.run.files import write_json

__all__ = ["in_words", "write"]


COLUMNS = {
    "label": "estimator",
    "num_samples": "K",
    "evaluations": "evals",
    "bias_squared": "bias² ± se",
    "variance": "variance",
    "snr": "SNR",
    "dsnr": "DSNR",
    "cosine": "cosine",
    "encoder_variance": "enc. var.",
    "encoder_snr": "enc. SNR",
    "encoder_cosine": "enc. cos.",
    "milliseconds": "ms",
    "megabytes": "MB",
}


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


def titles(about: dict[str, Any]) -> tuple[str, str]:
    """What was measured, and how: a title and a line beneath it."""
    form = {True: " with closed-form KL", False: " with Monte-Carlo KL", None: ""}
    named = about["objective"]
    bound = named.upper() + form[about["analytic_kl"]] if named in OBJECTIVES else named
    if about["beta"] not in (None, 1.0):
        bound += f", β = {about['beta']:g}"
    if about["bounds"] != "a lower bound of log p(x)":
        bound += f" ({about['bounds']})"
    samples = (
        f"K = {about['num_samples']}"
        if about["match_evaluations"] is None
        else f"{about['match_evaluations']} decoder evaluations each"
    )
    how = (
        f"{bound}, {samples}; {about['images']} {about['split']} images,"
        f" {about['replicates']:,} gradients each; truth: {about['truth']};"
        f" trained by {about['training']}"
    )
    if about["step"] is not None:
        how += f" for {about['step']:,} steps"
    return f"Gradient estimators: {about['model']}, {about['data']}", how


NOTES = """\
✓ unbiased by its claim, which the library's tests certify of its own estimators (of yours, vae.certify does).
The least variance is first, unbiased ones above biased ones.
variance: of one gradient, summed over the parameters of q; enc.: the same of the encoder's weights.
bias²: ‖E g - truth‖², less what the noise of the mean adds to it. So a negative one is a 0 that was estimated
  with noise: read it with its standard error; bold where it exceeds two of them.
SNR: ‖E g‖ / √variance, of one gradient. DSNR: mean length of its part along the truth over that of its part
  across; it counts direction alone, so that a large bias can have a large SNR, and no large DSNR.
cosine: between E g and the truth. evals: decodings an image; ms, MB: of one gradient of all images."""
"""What stands under the table."""


def write(stem: Path, about: dict[str, Any], rows: list[dict[str, Any]], pdf: bool) -> None:
    """Prints the table, and writes it as JSON, CSV and a picture.

    Arguments:
        stem: The files' path without suffix.
        about: What was measured.
        rows: An estimator each.
        pdf: Whether the picture is written as PDF too, beside PNG.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_json(Path(f"{stem}.json"), about | {"rows": rows})
    with Path(f"{stem}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    title, how = titles(about)
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(title, style="bold", markup=False)
    console.print(how, markup=False)
    console.print(_table(rows))
    console.print(NOTES, markup=False, soft_wrap=True)
    figure = draw(rows, title, how)
    suffixes = [".png", *([".pdf"] if pdf else [])]
    for suffix in suffixes:
        save(figure, Path(f"{stem}{suffix}"))
    print(f"written {stem}.json, .csv, {', '.join(suffixes)}")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("")
    for header in COLUMNS.values():
        table.add_column(header, justify="left" if header == "estimator" else "right")
    shown = ordered(rows)
    for number, row in enumerate(shown):
        if number and (row["bias"] is None) != (shown[number - 1]["bias"] is None):
            table.add_section()
        cells = [_format(row[key]) for key in COLUMNS]
        place = list(COLUMNS).index("bias_squared")
        cells[place] = f"{cells[place]} ± {row['bias_error']:.1g}"
        if has_bias(row):
            cells[place] = f"[bold]{cells[place]}[/bold]"
        table.add_row("✓" if row["bias"] is None else "", *cells)
    return table


def _format(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
