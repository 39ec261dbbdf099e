"""How long commands take to start, as ratios to ``python -c "import torch"``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmark.processes import Command, alternately, measure

__all__ = ["startup"]

EXPERIMENTS = Path(__file__).resolve().parents[1]
FOLDERS = f"{EXPERIMENTS.parent}:{EXPERIMENTS}"
"""Those that hold ``vae`` and ``benchmark``."""

IMPORT = 'python -c "import torch"'


def script(name: str, *words: str) -> list[str]:
    """The words that run a script of ``experiments``."""
    return [sys.executable, str(EXPERIMENTS / name), *words]


def startup(rounds: int, quick: bool = False) -> dict[str, dict[str, Any]]:
    """Seconds of each command, and ratio to importing torch.

    The checkpoint is of a Gaussian model after one step; ``evaluate`` looks at 100 test images.

    Arguments:
        rounds: How often each command runs.
        quick: Only import torch and vae.
    """
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        environment = {"VAE_RUNS_DIR": str(runs), "PYTHONPATH": FOLDERS, "WANDB_MODE": "offline"}
        words = {
            IMPORT: [sys.executable, "-c", "import torch"],
            'python -c "import vae"': [sys.executable, "-c", "import vae"],
        }
        if not quick:
            measure("a run of one step", Command(_one_step(), environment=environment))
            words |= _verbs(next(runs.iterdir()), Path(folder) / "picture.png")
        commands = {name: Command(own, environment=environment) for name, own in words.items()}
        return alternately(commands, rounds, IMPORT)


GAUSSIAN = ["fit", "--config", "gaussian", "--model.compile", "false"]


def _one_step() -> list[str]:
    limits = {"max_steps": 1, "limit_val_batches": 1, "limit_test_batches": 1}
    flags = [word for name, n in limits.items() for word in (f"--trainer.{name}", str(n))]
    return script("train.py", *GAUSSIAN, *flags)


def _verbs(run: Path, picture: Path) -> dict[str, list[str]]:
    exits = "benchmark.first_step.ExitAfterFirstStep"
    first = ["--data.steps_per_batch", "1", "--trainer.callbacks+", exits]
    return {
        "sample": script("sample.py", str(run), "--output", str(picture)),
        "reconstruct": script("reconstruct.py", str(run), "--output", str(picture)),
        "evaluate": script("evaluate.py", str(run), "--limit", "100"),
        "fit, to its first step": script("train.py", *GAUSSIAN, *first),
        "fit --help": script("train.py", "fit", "--help"),
    }
