"""Measures how clearly the tests reject what has a programming error.

Estimators, by the bias test: the mutants of ``tests/certify/mutant_estimators.py``. The evaluator, by
models with known answers: those of ``tests/evaluation/mutants_of_*.py``. Each stands beside its
original on the same case.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import json
import math
import sys
from pathlib import Path
from typing import Any, Literal

import torch

from vae.certify.assertions import bias_z_scores, z_limit
from vae.certify.polynomials import of_class
from vae.certify.problems import OBJECTIVES, PROBLEMS
from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.run.files import writable, write_json
from vae.run.record import hardware

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results" / "mutants.json"
TEST = "tests/certify/test_mutants.py::test_a_mutant_is_rejected"
TEST_EVALUATOR = "tests/evaluation/test_evaluator_mutants.py::test_a_mutant_is_caught"


def measure(
    replicates: int = 50_000,
    alpha: float = 1e-6,
    seed: int = 0,
    output: str = str(RESULTS),
    of: Literal["all", "estimators", "evaluator"] = "all",
) -> None:
    """Runs the tests on every mutant and its original, and writes how far off each is as JSON.

    Args:
        replicates: Estimates of each estimator; the tests take 20,000.
        alpha: The family-wise false-alarm rate of the bias test's limit.
        seed: Each estimator starts from it.
        output: Where to write.
        of: The mutants of estimators, of the evaluator, or all; the others' results stay.
    """
    path = writable(Path(output))
    result = json.loads(path.read_text(encoding="utf-8")) if of != "all" else {}
    if of != "evaluator":
        result |= measure_estimators(replicates, alpha, seed)
    if of != "estimators":
        result["evaluator"] = measure_evaluator()
    write_json(path, result)
    print(markdown(path), markdown_evaluator(path), sep="\n\n")


def measure_estimators(replicates: int, alpha: float, seed: int) -> dict[str, Any]:
    """The z-scores of the bias test."""
    sys.path.append(str(ROOT / "tests" / "certify"))
    from mutant_estimators import MUTANTS

    rows: dict[str, dict[str, Any]] = {}
    for name, mutant in MUTANTS.items():
        problem, objective = PROBLEMS[mutant.problem], OBJECTIVES[mutant.objective]
        scores = []
        for make in (mutant.make, mutant.make_original):
            torch.manual_seed(seed)
            estimator = make()
            case = of_class(problem, estimator.exact_for)
            scores.append(bias_z_scores(estimator, case, objective, replicates).abs().tolist())
        (*gradient, bound), original = scores
        rows[name] = {
            "wrong": mutant.wrong,
            "original": mutant.original,
            "problem": mutant.problem,
            "f": mutant.make_original().exact_for or "any",
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
    return settings | record | {"mutants": rows}


def measure_evaluator() -> dict[str, Any]:
    """The errors of the evaluator's mutants, in units of what is allowed."""
    sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "evaluation")]
    from evaluator_mutants import MUTANTS

    rows = {
        name: {
            "wrong": mutant.wrong,
            "module": mutant.module,
            "compared": mutant.compared,
            "ratio": finite(mutant.ratio(), 3),
            "original": finite(mutant.original_ratio(), 3),
            "test": f"{TEST_EVALUATOR}[{name}]",
        }
        for name, mutant in MUTANTS.items()
    }
    return {"torch": torch.__version__, "hardware": hardware("cpu"), "mutants": rows}


def finite(z: float, digits: int = 1) -> float | None:
    """z for JSON, which has no infinity: None, where a gradient is exactly 0 and should not be."""
    return round(z, digits) if math.isfinite(z) else None


def problem_of(row: dict[str, Any]) -> str:
    """The problem in words, with the class of f where it is not any."""
    kind = row.get("f", "any")
    return row["problem"] if kind == "any" else f"{row['problem']}, {kind} f"


def markdown(path: Path = RESULTS) -> str:
    """The table of estimators for the README, from the committed JSON."""
    result = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| mutant | of | what is wrong | problem | bound | its largest z | limit"
        " | the original's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["mutants"].items():
        lines.append(
            f"| {name} | `{row['original']}` | {row['wrong']} | {problem_of(row)}"
            f" | {row['bound']}, K = {row['num_samples']} | {'infinite' if row['max_z'] is None else row['max_z']}"
            f" | {row['limit']:.1f} | {row['original_max_z']:.1f} |"
        )
    lines += [
        "",
        f"{result['replicates']:,} estimates each, seed {result['seed']}; the limit is at a"
        f" family-wise false-alarm rate of {result['alpha']:g} over gradient and bound.",
    ]
    return "\n".join(lines)


def markdown_evaluator(path: Path = RESULTS) -> str:
    """The table of the evaluator's mutants for the README, from the committed JSON."""
    lines = [
        "| mutant | of | what is wrong | what is compared | its error / allowed | the original's |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in json.loads(path.read_text(encoding="utf-8"))["evaluator"]["mutants"].items():
        ratio = "not finite" if row["ratio"] is None else f"{row['ratio']:,.3g}"
        wrong, compared = (row[key].replace("|", "\\|") for key in ("wrong", "compared"))
        lines.append(
            f"| {name} | `{row['module'].removeprefix('vae.')}` | {wrong} | {compared}"
            f" | {ratio} | {row['original']:.2g} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    with one_line_errors():
        parser = ScriptParser(description=__doc__)
        parser.add_function_arguments(measure)
        measure(**vars(parser.parse_args()))
