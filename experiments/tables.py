"""Writes the README's tables from ``experiments/results/*.json``: numbers are generated, not
typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import mutants
from estimators import markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results"


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _value(row: dict[str, float]) -> str:
    return f"{row['mean']:.2f} ± {row['se']:.2f}"


def runs() -> str:
    """One row a default configuration."""
    lines = [
        "| command | binarisation | test ELBO (1 sample) | rate | distortion"
        " | log p(x) ≥, K = 1000 | epochs |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("gaussian", "discrete", "reinforce"):
        result = _read(name)
        metrics, training = result["metrics"], result["training"]
        bound = metrics.get("log_likelihood_1000")
        lines.append(
            f"| `make train-{name}` | {result['binarization']} | {_value(metrics['elbo'])}"
            f" | {metrics['rate']['mean']:.2f} | {metrics['distortion']['mean']:.2f}"
            f" | {_value(bound) if bound else '-'}"
            f" | {training['epochs']} |"
        )
    example = _read("pytorch_example")
    lines.append(
        f"| `make fit CONFIG=experiments/configs/pytorch_example.yaml` | {example['binarization']}"
        f" (cross-entropy) | {_value(example['metrics']['elbo'])}"
        f" | {example['metrics']['rate']['mean']:.2f}"
        f" | {example['metrics']['distortion']['mean']:.2f} | - |"
        f" {example['training']['epochs']} |"
    )
    training = _read("gaussian")["training"]
    lines += ["", f"Seed 0, one run each; {training['hardware']}; torch {training['torch']}."]
    return "\n".join(lines)


def bounds() -> str:
    """The K-sample bound of the Gaussian model as K grows."""
    metrics = _read("gaussian")["metrics"]
    rows = [("ELBO", metrics["elbo"])] + [
        (f"K = {name.rpartition('_')[2]}", row)
        for name, row in metrics.items()
        if name.startswith("log_likelihood_")
    ]
    head = "| " + " | ".join(name for name, _ in rows) + " |"
    return f"{head}\n|{'---|' * len(rows)}\n| " + " | ".join(_value(r) for _, r in rows) + " |"


TABLES = {"runs": runs, "bounds": bounds, "estimators": markdown, "mutants": mutants.markdown}


def fill(text: str) -> str:
    """The text with the lines between ``<!-- table NAME -->`` and ``<!-- end -->`` made anew."""
    for name, table in TABLES.items():
        start = f"<!-- table {name} -->\n"
        before, found, rest = text.partition(start)
        if found:
            text = before + start + table() + "\n" + rest[rest.index("<!-- end -->") :]
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(fill(readme.read_text()))
    print(f"{readme.name}: {', '.join(TABLES)}", file=sys.stderr)
