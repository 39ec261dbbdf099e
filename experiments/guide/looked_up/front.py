"""The front figure: bias and variance of estimators, from a committed gradient report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figures import LINES, panels
from matplotlib.figure import Figure

__all__ = ["front"]

REPORT = Path(__file__).resolve().parents[2] / "results" / "gradients-one-hot.json"


def front() -> tuple[Figure, str]:
    """The figure, and what is to be seen on it, in a sentence."""
    rows = [
        row
        for row in json.loads(REPORT.read_text(encoding="utf-8"))["rows"]
        if row["kl"] == "analytic"
    ]
    rows.sort(key=lambda row: -row["variance"])
    figure, axes = panels(width=5.8, height=0.19 * len(rows) + 0.7)
    for place, row in enumerate(rows):
        bias = _seen_bias(row)
        if bias is not None:
            axes.plot([row["variance"], bias], [place, place], color="0.45", linewidth=0.6)
            axes.plot(bias, place, "D", markersize=5, color=LINES[1])
        axes.plot(row["variance"], place, "o", markersize=6, color=LINES[0])
    axes.plot([], [], "o", color=LINES[0], label="variance of one gradient")
    axes.plot([], [], "D", color=LINES[1], label="squared bias, of biased ones")
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    axes.set(
        xscale="log", xlabel="nats², summed over the parameters of q", ylim=(-0.7, len(rows) - 0.3)
    )
    axes.grid(axis="x", color="0.45", alpha=0.25, linewidth=0.6)
    axes.legend(loc="lower left")
    quiet, loud = rows[-1], rows[0]
    return figure, (
        f"A row an estimator. Variances reach from {quiet['variance']:.2g} ({quiet['label']}) to"
        f" {loud['variance']:.2g} ({loud['label']}); biased estimators have a second mark."
    )


def _seen_bias(row: dict[str, Any]) -> float | None:
    """The squared bias of an estimator that claims one, where it is seen above its own error."""
    seen = row["bias"] is not None and row["bias_squared"] > 2 * row["bias_error"]
    return row["bias_squared"] if seen else None
