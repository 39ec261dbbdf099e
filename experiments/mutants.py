"""Measures how clearly the bias test rejects estimators with a programming error.

They are the mutants of ``tests/certify/mutant_estimators.py``, each beside its original on the same
case.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch

from vae.certify.assertions import bias_z_scores, z_limit
from vae.certify.problems import OBJECTIVES, PROBLEMS
from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.run.files import writable, write_json
from vae.run.record import hardware

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results" / "mutants.json"
TEST = "tests/certify/test_mutants.py::test_a_mutant_is_rejected"


def measure(
    replicates: int = 50_000, alpha: float = 1e-6, seed: int = 0, output: str = str(RESULTS)
) -> None:
    """Runs the bias test on every mutant and its original, and writes the z-scores as JSON.

    Args:
        replicates: Estimates of each; the tests take 20,000.
        alpha: The family-wise false-alarm rate of the limit.
        seed: Each estimator starts from it.
        output: Where to write.
    """
    path = writable(Path(output))
    sys.path.append(str(ROOT / "tests" / "certify"))
    from mutant_estimators import MUTANTS

    rows: dict[str, dict[str, Any]] = {}
    for name, mutant in MUTANTS.items():
        problem, objective = PROBLEMS[mutant.problem], OBJECTIVES[mutant.objective]
        scores = []
        for make in (mutant.make, mutant.make_original):
            torch.manual_seed(seed)
            scores.append(bias_z_scores(make(), problem, objective, replicates).abs().tolist())
        (*gradient, bound), original = scores
        rows[name] = {
            "wrong": mutant.wrong,
            "original": mutant.original,
            "problem": mutant.problem,
            "objective": mutant.objective,
            "bound": type(objective).__name__,
            "num_samples": objective.num_samples,
            "max_z": finite(max(*gradient, bound)),
            "max_z_gradient": finite(max(gradient)),
            "z_bound": round(bound, 1),
            "original_max_z": round(max(original), 1),
            "limit": round(z_limit(alpha / (2 * len(original))), 2),
            "test": f"{TEST}[{name}]",
        }
    settings = {"replicates": replicates, "alpha": alpha, "seed": seed}
    record = {"torch": torch.__version__, "hardware": hardware("cpu")}
    write_json(path, settings | record | {"mutants": rows})
    print(markdown(path))


def finite(z: float) -> float | None:
    """z for JSON, which has no infinity: None, where a gradient is exactly 0 and should not be."""
    return round(z, 1) if math.isfinite(z) else None


def markdown(path: Path = RESULTS) -> str:
    """The table for the README, from the committed JSON."""
    result = json.loads(path.read_text())
    lines = [
        "| mutant | of | what is wrong | problem | bound | its largest z | limit"
        " | the original's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["mutants"].items():
        lines.append(
            f"| {name} | `{row['original']}` | {row['wrong']} | {row['problem']}"
            f" | {row['bound']}, K = {row['num_samples']} | {'infinite' if row['max_z'] is None else row['max_z']}"
            f" | {row['limit']:.1f} | {row['original_max_z']:.1f} |"
        )
    lines += [
        "",
        f"{result['replicates']:,} estimates each, seed {result['seed']}; the limit is at a"
        f" family-wise false-alarm rate of {result['alpha']:g} over gradient and bound.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    with one_line_errors():
        parser = ScriptParser(description=__doc__)
        parser.add_function_arguments(measure)
        measure(**vars(parser.parse_args()))
