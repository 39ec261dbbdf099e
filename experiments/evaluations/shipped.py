"""The table of the trained checkpoints that come with the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vae.models.half import STORED
from vae.run.files import read_json

__all__ = ["table"]

RESULTS = Path(__file__).resolve().parent.parent / "checkpoints" / "checkpoints.json"


def table() -> str:
    """One row a checkpoint: what it achieves as stored, and what float16 costs."""
    lines = [
        "| name | size | test ELBO (1 sample) | rate | distortion | log p(x) ≥, K = 100"
        " | ELBO, float16 - float32 | epochs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows = read_json(RESULTS)
    for name, row in rows.items():
        found = row[STORED]
        lines.append(
            f"| `{name}` | {row['bytes'] / 1e6:.2f} MB | {_value(found['elbo'])}"
            f" | {found['rate']['mean']:.2f} | {found['distortion']['mean']:.2f}"
            f" | {_value(found['log_likelihood_100'])} | {row['difference']['elbo']:+.4f}"
            f" | {row['training']['epochs']} |"
        )
    first = next(iter(rows.values()))
    training, elbo = first["training"], first[STORED]["elbo"]
    lines += [
        "",
        f"nats an image, mean ± standard error over {elbo['images']:,} test images,"
        f" {elbo['binarization']} binarisation; both storages on the same images with the same noise."
        f" Seed {training['seed']}; {training['hardware']}; torch {training['torch']};"
        f" git {training['git'][:7]}.",
    ]
    return "\n".join(lines)


def _value(row: dict[str, Any]) -> str:
    return f"{row['mean']:.2f} ± {row['se']:.2f}"
