"""The README's tables of evaluations, from ``experiments/results/*.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vae.evaluation.words import in_words
from vae.run.files import read_json

__all__ = ["bounds", "evaluation", "runs"]


RESULTS = Path(__file__).resolve().parent.parent / "results"

MODELS = {
    "gaussian": "`make train-gaussian`",
    "iwae": "`make fit CONFIG=experiments/configs/iwae.yaml`",
    "discrete": "`make train-discrete`",
    "reinforce": "`make train-reinforce`",
}
"""Evaluated models, with the command that trains each."""

ROWS = {
    "elbo": "ELBO ≤ log p(x)",
    "log_likelihood_5000": "K = 5000 ≤ log p(x)",
    "ais": "AIS ≤ log p(x)",
    "ais_minus_log_likelihood_5000": "AIS - K = 5000, same images",
    "bdmc_gap": "gap of its bounds (BDMC)",
    "inference_gap": "log p(x) - ELBO",
    "approximation_gap": "of it by the family of q",
    "amortization_gap": "of it by the encoder",
    "relaxation_gap": "relaxed bound - ELBO",
    "generalization_gap": "ELBO, train - test",
    "rate": "rate",
    "mutual_information": "I(x; z) ≥",
    "mutual_information_upper": "I(x; z) ≤",
    "marginal_kl_lower": "KL(q(z) ‖ p(z)) ≥",
    "marginal_kl": "KL(q(z) ‖ p(z)) ≤",
    "active_units": "active units",
    "perplexity": "perplexity of a variable",
    "probe_linear": "linear probe, %",
    "probe_knn": "nearest neighbours, %",
    "reconstruction_mse": "squared error a pixel",
    "frechet_samples": "Fréchet, samples",
    "frechet_floor": "Fréchet, floor",
}
"""Numbers by name, with their words in the table."""


def _read(name: str) -> dict[str, Any]:
    return read_json(RESULTS / f"{name}.json", metrics=dict)


def _value(row: dict[str, float]) -> str:
    return f"{row['mean']:.2f} ± {row['se']:.2f}"


def runs() -> str:
    """One row a default configuration."""
    lines = [
        "| command | binarisation | test ELBO (1 sample) | rate | distortion"
        " | log p(x) ≥, K = 5000 | epochs |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, command in {
        **MODELS,
        "pytorch_example": "`make fit CONFIG=experiments/configs/pytorch_example.yaml`",
    }.items():
        result = _read(name)
        metrics, cross = result["metrics"], result["binarization"] == "none"
        bound = metrics.get("log_likelihood_5000")
        lines.append(
            f"| {command} | {result['binarization']}{' (cross-entropy)' * cross}"
            f" | {_value(metrics['elbo'])}"
            f" | {metrics['rate']['mean']:.2f} | {metrics['distortion']['mean']:.2f}"
            f" | {_value(bound) if bound else '-'} | {result['training']['epochs']} |"
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


def evaluation() -> str:
    """What each model achieves, and where the rest is lost: a column a model."""
    results = {name: _read(name) for name in MODELS}
    metrics = {name: result["metrics"] for name, result in results.items()}
    lines = [
        "| | images | " + " | ".join(name for name in MODELS) + " |",
        "|---|---|" + "---|" * len(MODELS),
    ]
    for name, words in ROWS.items():
        found = {model: rows[name] for model, rows in metrics.items() if name in rows}
        if not found:
            continue
        images = " / ".join(dict.fromkeys(f"{row['images']:,}" for row in found.values()))
        cells = [_cell(found.get(model)) for model in MODELS]
        lines.append(f"| {words} | {images} | {' | '.join(cells)} |")
    seconds = {model: rows["ais"]["seconds"] for model, rows in metrics.items() if "ais" in rows}
    first = next(iter(results.values()))
    said = ", ".join(f"{model} {taken:,.0f}" for model, taken in seconds.items())
    lines += [
        "",
        f"Test images, {first['binarization']} binarisation, nats unless said, ± one standard error over"
        f" images; seed {first['seed']}; {first['hardware']}. AIS:"
        + ";".join(
            f" {model} {rows['ais']['temperatures']:,} temperatures, {rows['ais']['chains']} chains"
            for model, rows in metrics.items()
            if "ais" in rows
        )
        + f"; seconds, BDMC among them: {said}. (!): the evaluation warns of this number.",
    ]
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    return in_words(row) + (" (!)" if row.get("warning") else "")
