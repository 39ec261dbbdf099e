"""Runs that are killed: train.py and resume.py in forked processes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import forked
import torch
from forked import ROOT

from vae.run.wandb_file import read_history

SHORT = ["--trainer.max_epochs", "6", "--trainer.log_every_n_steps", "5", "--image_every", "0"]
SHORT += ["--model.test_samples", "2", "--checkpoint_every_n_steps", "8"]
SHORT += ["--data.steps_per_batch", "4"]
DIGITS = [
    "--config",
    str(ROOT / "experiments" / "configs" / "digits.yaml"),
    "--model.hidden",
    "[32]",
]
DISCRETE = ["--model", "DiscreteVAE", "--model.num_variables", "4", "--model.hidden", "[32]"]
STEPS = ["--trainer.max_epochs", "9", "--trainer.max_steps", "100"]  # inside the fifth epoch
RUNS = {
    "gaussian": [*DIGITS, *SHORT],
    # a baseline with a moving average, a schedule, and draws of another kind
    "discrete": [
        *("--data", "DigitsDataModule", *DISCRETE, *SHORT, "--name", "discrete"),
        *("--model.estimator", "reinforce_moving_average", "--model.beta_warmup", "60"),
    ],
    "gumbel": [
        *("--data", "DigitsDataModule", *DISCRETE, *SHORT, "--name", "gumbel"),
        *("--model.anneal_rate", "0.01", "--model.anneal_every", "3"),
    ],
    "steps": [*DIGITS, *SHORT, *STEPS],
    "validation": [*DIGITS, *SHORT, *STEPS, "--trainer.val_check_interval", "8"],
    "test": [*DIGITS, *SHORT, "--trainer.max_epochs", "1", "--model.test_samples", "4000"],
    "two": [
        *(*DIGITS, *SHORT, "--data.batch_size", "32", "--trainer.accelerator", "cpu"),
        *("--trainer.devices", "2", "--trainer.strategy", "ddp"),
    ],
}


UNTIMED = {"seconds": 0, "test_seconds": 0}
"""Put into a run's results, whose other numbers are to be the same."""


def start(script: str, arguments: list[str], folder: Path, wandb: str = "disabled") -> Any:
    """A child process that runs a script of ``experiments``, its runs and its log in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (log := folder / "log").touch()
    environment = {"VAE_RUNS_DIR": str(folder), "WANDB_MODE": wandb}
    return forked.start([script, *arguments], [log, log], environment=os.environ | environment)


def finish(process: Any, folder: Path, code: int = 0) -> None:
    """Waits for the end, which must be this exit code."""
    process.join(300)
    assert process.exitcode == code, (folder / "log").read_text()


def run_of(folder: Path) -> Path:
    """The one run in a folder."""
    (run,) = (path for path in folder.iterdir() if path.is_dir())
    return run


def kill(
    process: Any,
    folder: Path,
    generator: random.Random,
    moment: str,
    number: int,
    starts: int = 1,
    group: bool = False,
) -> bool:
    """Sends a signal at a random moment of a run's ``training``, after its first checkpoint, of
    the ``writing`` of a checkpoint or of its ``test``; whether the run was still going. It must
    then end with the signal's exit code.

    Arguments:
        process: The run's.
        folder: That of :func:`start`.
        generator: Of the moments.
        moment: One of the three.
        number: The signal.
        starts: How often it was started or continued.
        group: Whether all the run's processes get it, or the first one alone.
    """
    deadline, log = time.monotonic() + 300, folder / "log"
    first = "*/images/samples-*.png" if moment == "test" else "*/checkpoints/last.ckpt"
    while log.read_text().count("grows there") < starts or not list(folder.glob(first)):
        if not process.is_alive() and moment == "test":
            break  # too late
        assert process.is_alive() and time.monotonic() < deadline, log.read_text()
        time.sleep(0.005)
    time.sleep(generator.uniform(0, 0.8))
    if moment == "writing":
        checkpoints = run_of(folder) / "checkpoints"
        files = [checkpoints / ".last.ckpt.tmp", checkpoints / ".best.ckpt.tmp"]
        while process.is_alive() and not any(map(os.path.exists, files)):
            pass
    if process.is_alive() and group:
        os.killpg(process.pid, number)
    elif process.is_alive():
        os.kill(process.pid, number)
    process.join(120)
    assert not process.is_alive(), f"it hangs: {log.read_text()}"
    if (run_of(folder) / "results.json").exists():
        return False  # too late
    expected = -number if number == signal.SIGKILL else 128 + number
    assert process.exitcode == expected, f"exit code {process.exitcode}: {log.read_text()}"
    said = log.read_text().rpartition("grows there")[2]
    assert number == signal.SIGKILL or said.count("vae resume ") == 1, said
    assert "Traceback" not in said or number == signal.SIGKILL, said
    return True


def rows(run: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl`` without their times."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in lines]


def pages(run: Path) -> list[dict[str, Any]]:
    """The rows that W&B has, of all parts of the run, in order."""
    files = sorted(run.glob("wandb/offline-run-*/*.wandb"))
    return [row for file in files for row in read_history(file) if "row" in row]


def assert_same_run(run: Path, reference: Path) -> None:
    """Asserts that two runs ended in the same weights, optimiser state, generators, loops,
    metrics and results, to the last bit."""
    assert rows(run) == rows(reference)
    results = [
        json.loads(path.read_text()) | UNTIMED
        for path in (run / "results.json", reference / "results.json")
        if path.exists()
    ]
    assert results[1:] == results[:1] or not results
    for name in ("last.ckpt", "best.ckpt"):
        found = [(path / "checkpoints" / name).exists() for path in (run, reference)]
        assert found[0] == found[1], name
        if not all(found):  # a run without validation has no best
            continue
        states = [
            torch.load(path / "checkpoints" / name, weights_only=True) for path in (run, reference)
        ]
        _assert_equal(*states, name)


def _assert_equal(a: Any, b: Any, where: str) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        if "best_k_models" in where:  # by the path of a file
            a, b = dict(enumerate(a.values())), dict(enumerate(b.values()))
        assert a.keys() == b.keys(), where
        for key in a:
            _assert_equal(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            _assert_equal(x, y, f"{where}/{number}")
    elif not where.endswith(("path", "dirpath", "vae/seconds")):
        assert a == b, where
