"""Runs that are killed: train.py in a child process of a server that has everything imported, so
that a start costs a fork."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

from vae.history import read_history

ROOT = Path(__file__).resolve().parent.parent
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
}


def _child(script: str, arguments: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    os.environ.pop("WANDB_SERVICE", None)  # that of a test before, which outlives a killed child
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(environment["LOG"]).open("a") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    sys.path.insert(0, str(ROOT / "experiments"))
    torch.set_num_threads(1)
    sys.argv = [script, *arguments]
    path = ROOT / "experiments" / script
    code = compile(path.read_text(), script, "exec")
    exec(code, {"__name__": "__main__", "__file__": str(path)})


def start(script: str, arguments: list[str], folder: Path, wandb: str = "disabled") -> Any:
    """A child process that runs a script of ``experiments``, its runs and its log in a folder."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vae.cli"])
    folder.mkdir(parents=True, exist_ok=True)
    own = {name: value for name, value in os.environ.items() if name.startswith("VAE_")}
    environment = own | {
        "VAE_RUNS_DIR": str(folder),
        "WANDB_MODE": wandb,
        "LOG": str(folder / "log"),
    }
    process = context.Process(target=_child, args=(script, arguments, environment))
    (folder / "log").touch()
    process.start()
    return process


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
    writing: bool,
    number: int,
    starts: int = 1,
) -> bool:
    """Sends a signal at a random moment of a run's training, after its first checkpoint, or while
    a checkpoint is being written; whether the run was still going. ``starts`` counts how often it
    was started or continued."""
    deadline, log = time.monotonic() + 120, folder / "log"
    while log.read_text().count("grows there") < starts or not list(
        folder.glob("*/checkpoints/last.ckpt")
    ):
        assert process.is_alive() and time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.005)
    time.sleep(generator.uniform(0, 0.8))
    if writing:
        checkpoints = run_of(folder) / "checkpoints"
        files = [checkpoints / ".last.ckpt.tmp", checkpoints / ".best.ckpt.tmp"]
        while process.is_alive() and not any(map(os.path.exists, files)):
            pass
    alive = process.is_alive()
    if alive:
        os.kill(process.pid, number)
    process.join(60)
    return alive and process.exitcode != 0


def rows(run: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl`` without their times."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in lines]


def pages(run: Path) -> list[dict[str, Any]]:
    """The rows that W&B has, of all parts of the run, in order."""
    files = sorted(run.glob("wandb/offline-run-*/*.wandb"))
    return [row for file in files for row in read_history(file) if "row" in row]


def assert_same_run(run: Path, reference: Path) -> None:
    """Asserts that two runs ended in the same weights, optimiser state, generators, loops and
    metrics, to the last bit."""
    assert rows(run) == rows(reference)
    for name in ("last.ckpt", "best.ckpt"):
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
