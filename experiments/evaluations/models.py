"""The README's table of models at equal budget, from ``experiments/results/models/*.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vae.run.files import read_json

__all__ = ["cell", "omniglot", "table"]


HERE = Path(__file__).resolve().parent.parent
RESULTS, CONFIGS = HERE / "results" / "models", HERE / "configs" / "models"


def _described(name: str) -> list[str]:
    """Latents, prior and objective, as the first line of the configuration says."""
    first = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ").split("; ")


def cell(row: dict[str, Any] | None, digits: int = 2) -> str:
    """A mean with its standard error; a dash where there is none."""
    if row is None:
        return "-"
    error = f" ± {row['se']:.{digits}f}" if row["se"] is not None else ""
    return f"{row['mean']:.{digits}f}{error}{' (!)' if row.get('warning') else ''}"


def _annealed(metrics: dict[str, Any]) -> str:
    """The annealed bound, and by how much it is above K = 1000 on the same images."""
    more = metrics.get("ais_minus_log_likelihood_1000")
    found = f"{metrics['ais']['mean']:.2f}" if "ais" in metrics else "-"
    return f"{found} ({more['mean']:+.2f} ± {more['se']:.2f})" if more else found


def _units(metrics: dict[str, Any]) -> str:
    if "perplexity" in metrics:
        return f"perplexity {metrics['perplexity']['mean']:.2f}"
    return f"{metrics['active_units']['mean']:.0f} active" if "active_units" in metrics else "-"


def table() -> str:
    """One row a model, the best ELBO first, in groups of the same binarised data."""
    found = {path.stem: read_json(path, metrics=dict) for path in sorted(RESULTS.glob("*.json"))}
    rows = sorted(found, key=lambda name: -found[name]["metrics"]["elbo"]["mean"])
    lines = [
        "| configuration | latents | prior | objective | ELBO | log p(x) ≥, K = 1000 | log p(x) ≥, AIS (- K = 1000)"
        " | lost by the family of q | lost by the encoder | used | parameters |",
        "|" + "---|" * 11,
    ]
    for name in rows:
        metrics = found[name]["metrics"]
        cells = [
            *_described(name),
            *map(
                cell,
                (
                    metrics["elbo"],
                    metrics.get("log_likelihood_1000"),
                ),
            ),
            _annealed(metrics),
            *map(cell, (metrics.get("approximation_gap"), metrics.get("amortization_gap"))),
            _units(metrics),
            f"{found[name]['training']['parameters']:,}",
        ]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    if not found:
        return "\n".join(lines)
    first = next(iter(found.values()))
    images = {
        part: max(r["metrics"][part]["images"] for r in found.values() if part in r["metrics"])
        for part in ("elbo", "log_likelihood_1000", "ais", "approximation_gap")
    }
    lines += [
        "",
        f"`python experiments/models.py`, configurations in `experiments/configs/models`: one run each, seed"
        f" {first['training']['seed']}, {first['training']['epochs']} epochs of batch 100, Adam 1e-3,"
        f" {first['binarization']} binarisation; nats, ± one standard error over test images"
        f" ({images['elbo']:,} of the ELBO, {images['log_likelihood_1000']:,} of K = 1000,"
        f" {images['ais']:,} of AIS, {images['approximation_gap']:,} of the gaps);"
        f" {first['hardware'].partition(',')[0]}. (!): the evaluation warns of this number.",
    ]
    return "\n".join(lines)


def omniglot() -> str:
    """The Gaussian model on Omniglot's two small sets."""
    result = read_json(RESULTS.parent / "omniglot.json", metrics=dict)
    metrics, training = result["metrics"], result["training"]
    values = ", ".join(
        f"{words} {cell(metrics.get(name))}"
        for name, words in (
            ("elbo", "ELBO"),
            ("log_likelihood_1000", "K = 1000"),
            ("ais", f"AIS ({metrics['ais']['images']} images)"),
            ("generalization_gap", "ELBO of train - test"),
        )
    )
    return (
        f"On Omniglot's small sets (242 characters, 28 x 28, {metrics['elbo']['images']} test images):"
        f" {values}, {_units(metrics)} of 50; `make fit CONFIG=experiments/configs/omniglot.yaml"
        f' ARGS="--model.test_samples 0"`, {training["epochs"]} epochs, seed {training["seed"]},'
        f" {result['binarization']} binarisation; {result['hardware'].partition(',')[0]}."
    )
