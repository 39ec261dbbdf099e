"""The gradient report on the screen, and as JSON, CSV and a plot."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from vae.analysis.plots import pareto
from vae.cli.latent_names import LAYERS
from vae.distributions.kinds import kind_of
from vae.models.latents.hierarchy import Hierarchy
from vae.models.vae import VAE
from vae.run.files import write_json

__all__ = ["in_words", "write"]


COLUMNS = {
    "label": "estimator",
    "num_samples": "K",
    "evaluations": "evals",
    "bias_squared": "bias²",
    "bias_error": "± se",
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


def write(stem: Path, about: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Prints the table, and writes it as JSON, CSV and a plot."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_json(Path(f"{stem}.json"), about | {"rows": rows})
    with Path(f"{stem}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    form = {True: " with closed-form KL", False: " with Monte-Carlo KL", None: ""}
    bound = about["objective"].upper() + form[about["analytic_kl"]]
    title = f"{about['model']}, {bound}, {about['images']} images"
    table = Table(title=f"{title}, truth: {about['truth']}", title_justify="left")
    for header in COLUMNS.values():
        table.add_column(header, justify="left" if header == "estimator" else "right")
    for row in rows:
        biased = [] if row["bias"] is None else ["biased"]  # a column of its own if any is
        table.add_row(*[_format(row[key]) for key in COLUMNS], *biased)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    pareto(rows, f"Variance of the gradient: {title}", Path(f"{stem}.png"))
    print(f"written {stem}.json, .csv, .png")


def _format(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
