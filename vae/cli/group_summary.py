"""Sums up the runs of models that were trained at once: means and standard errors over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vae.cli.results import without_log_likelihood
from vae.cli.summary import print_summary
from vae.run.files import write_json
from vae.run.members import MemberRun
from vae.run.seed_statistics import summed_up

__all__ = ["number_of", "summarize"]


def summarize(folder: Path, record: dict[str, Any], runs: list[MemberRun]) -> None:
    """Sums up the runs that did not diverge; writes them as JSON and prints a table."""
    variants: dict[str, list[MemberRun]] = {}
    for run in runs:
        label = ", ".join(f"{name} {value}" for name, value in run.varied.items())
        variants.setdefault(label or "all", []).append(run)
    seeds, metrics = len(next(iter(variants.values()))), list(runs[0].results["metrics"])
    rows: dict[str, Any] = {
        label: {"varied": members[0].varied, "runs": [run.folder.name for run in members]}
        for label, members in variants.items()
    }
    for metric in metrics:
        values = {
            label: [None if run.diverged else run.results["metrics"][metric] for run in members]
            for label, members in variants.items()
        }
        for label, row in summed_up(values).items():
            rows[label][metric] = row
    shared = ("epochs", "steps", "seconds", "test_seconds", "binarization", "parameters")
    summary = {
        "models": len(runs),
        "seeds": [run.seed for run in runs[:seeds]],
        **{key: runs[0].results[key] for key in shared},
        "config": {k: v for k, v in runs[0].config.items() if k in ("model", "data", "trainer")},
        "run": record,
        "variants": rows,
    }
    write_json(folder / "summary.json", summary)
    number = f"{seeds} seed{'s' * (seeds > 1)}"
    if metrics:
        title = f"mean ± standard error over {number}, {runs[0].data.pixels}"
        print_summary(title, rows, metrics)
    if diverged := [run.folder.name for run in runs if run.diverged]:
        print(f"{len(diverged)} diverged, and are in no mean: {', '.join(diverged)}")
    if metrics and not runs[0].model.test_samples:
        print(without_log_likelihood(runs[0].folder))
    test = f"; the test took {summary['test_seconds']} s" if metrics else ""
    print(f"{summary['steps']} steps of {number_of(runs)} in {summary['seconds']} s{test}")
    print(f"written {folder / 'summary.json'}")


def number_of(runs: list[MemberRun]) -> str:
    return f"{len(runs)} model{'s' * (len(runs) > 1)}"
