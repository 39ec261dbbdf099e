"""Trains and evaluates each configuration of ``configs/models``, for one table at equal budget.

What has a result is left out, what was cut short goes on: the same command does the rest. Results
are ``experiments/results/models/*.json``.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.run.folder import runs_dir

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "configs" / "models"
RESULTS = HERE / "results" / "models"

EVALUATION = {
    "log_likelihood": ["1000", "--log_likelihood_images", "1000"],
    "ais": ["--ais_chains", "4", "--ais_simulated", "20"],
    "gaps": ["--gaps_images", "50", "--gaps_steps", "500"],
    "codes": ["--codes_images", "2000"],
}
"""What is asked of each model, as far as it has an answer, with options."""


def models(names: list[str] | None = None, jobs: int = 1, evaluate_only: bool = False) -> None:
    """Trains and evaluates configurations that have no result yet.

    Args:
        names: Configurations of ``configs/models``, without ``.yaml``; by default all.
        jobs: How many at a time.
        evaluate_only: Whether to leave out what is not trained yet.

    Raises:
        ValueError: If there is no such configuration, or a number is less than 1.
        RuntimeError: If one fails; the others are done first.
    """
    known = {path.stem: path for path in sorted(CONFIGS.glob("*.yaml"))}
    wanted = list(known) if names is None else names
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no configuration {unknown[0]}: choose from {', '.join(known)}")
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    left = [name for name in wanted if not (RESULTS / f"{name}.json").exists()]
    print(f"{len(left)} of {len(wanted)} configurations to do", flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        done = list(pool.map(lambda name: _do(known[name], evaluate_only), left))
    if failed := [name for name, fine in zip(left, done, strict=True) if not fine]:
        raise RuntimeError(f"{', '.join(failed)}: failed; their last lines are above")


def _do(config: Path, evaluate_only: bool) -> bool:
    """Trains a configuration if no run of it has ended, and evaluates the run."""
    name, started = config.stem, time.monotonic()
    run = _ended(name)
    if run is None and not evaluate_only:
        fine, said = _ran("train.py", "fit", "--config", os.path.relpath(config))
        if not fine:
            print(f"{name}: failed\n  {said}", flush=True)
            return False
        run = _ended(name)
    if run is None:
        return evaluate_only
    trained = time.monotonic()
    output = ["--output", os.path.relpath(RESULTS / f"{name}.json")]
    asked, fine = dict(EVALUATION), False
    while not fine:
        parts = [word for part, options in asked.items() for word in (f"--{part}", *options)]
        fine, said = _ran("evaluate.py", os.path.relpath(run), *parts, *output)
        unanswered = [part for part in asked if f"error: --{part}:" in said]
        if not fine and not unanswered:
            break
        for part in unanswered:  # of this model; the message says why
            print(f"{name}: {said.strip()}", flush=True)
            del asked[part]
    seconds = f"{trained - started:.0f} s training, {time.monotonic() - trained:.0f} s evaluation"
    print(f"{name}: {seconds}" if fine else f"{name}: failed\n  {said}", flush=True)
    return fine


def _ended(name: str) -> Path | None:
    """The newest run of this name that has tested its model."""
    found = [path.parent for path in runs_dir().glob(f"*-{name}-*/results.json")]
    return max(found, default=None)


def _ran(script: str, *words: str) -> tuple[bool, str]:
    """Whether a script ended well, and the last lines of what it said."""
    command = [sys.executable, os.path.relpath(HERE / script), *words]  # which a result names
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    return done.returncode == 0, "\n  ".join(done.stderr.splitlines()[-5:])


if __name__ == "__main__":
    parser = ScriptParser(description=__doc__)
    parser.add_function_arguments(models)
    with one_line_errors():
        models(**vars(parser.parse_args()))
