"""The README's comparison of codes: quantised ones, by each estimator, and one-hot variables.

From ``experiments/results/models/codes_*.json`` and, for the gradients, ``gradients-codes_*.json``:
``python experiments/gradients.py RUN --output experiments/results/gradients-codes_vq``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evaluations.models import cell
from vae.run.files import read_json

__all__ = ["table"]


RESULTS = Path(__file__).resolve().parent.parent / "results"
MODELS = {
    "codes_vq": ("VQ", "straight-through", "straight_through_codes"),
    "codes_vq_rotation": ("VQ", "rotation trick", "rotation_trick"),
    "codes_fsq": ("FSQ", "straight-through", "straight_through_codes"),
    "codes_gumbel": ("one-hot variables", "Gumbel-softmax", "gumbel_softmax"),
}
"""Configurations, with the codes, the gradient, and its name in a gradient report."""

NUMBERS = ("elbo", "rate", "distortion", "reconstruction_mse", "perplexity")


def _gradient(name: str, estimator: str) -> tuple[str, str]:
    """Bias^2 and variance at the trained model, where they are defined and measured."""
    path = RESULTS / f"gradients-{name}.json"
    if not path.exists():
        return "-", "-"
    report = read_json(path, rows=list)
    row = next(r for r in report["rows"] if r["estimator"] == estimator)
    point_mass = str(report["truth"]).startswith("zero")
    return ("undefined" if point_mass else f"{row['bias_squared']:.3g}"), f"{row['variance']:.3g}"


def _numbers(metrics: dict[str, Any]) -> list[str]:
    rate = {"rate": metrics.get("rate", metrics.get("rate_mc"))}
    found = metrics | rate
    digits = {"reconstruction_mse": 4}
    return [cell(found.get(name), digits.get(name, 2)) for name in NUMBERS]


def table() -> str:
    """One row a configuration."""
    lines = [
        "| codes | gradient | ELBO | rate | distortion | reconstruction, squared error a"
        " pixel | perplexity, of 64 | bias² | variance |",
        "|" + "---|" * 9,
    ]
    for name, (codes, gradient, estimator) in MODELS.items():
        path = RESULTS / "models" / f"{name}.json"
        if path.exists():
            metrics = read_json(path, metrics=dict)["metrics"]
            cells = [codes, gradient, *_numbers(metrics), *_gradient(name, estimator)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(
        [
            *lines,
            "",
            "10 codes of 64 values each, an autoregressive prior, and the budget of the table above. Of"
            " quantised codes q is a point mass: its exact gradient is zero, so that no bias of an estimator"
            " is defined, and none has noise.",
        ]
    )
