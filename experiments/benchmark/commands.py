"""Whole commands: ``vae fit`` against pytorch/examples' own script and a trainer of pythae's.

Both are run from checkouts of theirs, as they are, and nothing is copied from them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torchvision.datasets import MNIST

from benchmark.processes import Command, alternately
from benchmark.startup import EXPERIMENTS, script
from vae.data.folder import data_dir

__all__ = ["NEEDS", "commands", "mnist_for_others"]

NEEDS = (
    "whole commands need a checkout of github.com/pytorch/examples: --pytorch_examples FOLDER (and"
    " one of github.com/clementchadebec/benchmark_VAE, for a row more: --pythae FOLDER)"
)
EXAMPLES = "pytorch/examples' vae/main.py"


def mnist_for_others(folder: Path) -> None:
    """Puts MNIST where scripts of others look for it, in torchvision's layout, unpacked."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (data_dir() / "MNIST" / "raw").iterdir():
        if file.is_file():
            shutil.copyfile(file, raw / file.name)
    MNIST(folder, download=True)  # unpacks, and downloads nothing that is there


def commands(
    rounds: int,
    pytorch_examples: str,
    pythae: str | None = None,
    epochs: tuple[int, ...] = (4, 10),
    device: str = "cpu",
) -> dict[str, dict[str, dict[str, Any]]]:
    """Wall and processor time of whole commands, by the number of epochs.

    All train pytorch/examples' model on 60,000 grey images, by batches of 128. ``test_samples`` is
    K of the final test's bound, which the other scripts do not have. The compile cache is cold in a
    fresh folder, and warm in the folder that the cold run has left.

    Arguments:
        rounds: How often each command runs; the longer trainings half as often, but twice.
        pytorch_examples: A checkout.
        pythae: A checkout of benchmark_VAE, or None.
        epochs: The lengths of the trainings.
        device: Of ours; the others use an accelerator where there is one.

    Raises:
        ValueError: If a folder is no such checkout, or a command fails.
    """
    main = Path(pytorch_examples).resolve() / "vae" / "main.py"
    for path in [main, *([Path(pythae).resolve() / "src" / "pythae"] if pythae else [])]:
        if not path.exists():
            raise ValueError(f"{path} is not there: {NEEDS}")
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        mnist_for_others(folder / "data")
        (folder / "here" / "results").mkdir(parents=True)  # the script reads ../data
        for number, count in enumerate(epochs):
            print(f"whole commands of {count} epochs ...", flush=True)
            own = _ours(count, folder, cold=number == 0, device=device)
            theirs = [sys.executable, str(main), "--epochs", str(count)]
            theirs += ["--no-accel"] if device == "cpu" else []
            rows = {EXAMPLES: Command(theirs, folder / "here")} | own
            if pythae and number == 0:
                trainer = EXPERIMENTS / "benchmark" / "pythae_fit.py"
                words = [str(trainer), pythae, str(count), str(folder / "data")]
                rows["pythae's trainer"] = Command([sys.executable, *words])
            turns = rounds if number == 0 else max(min(rounds, 2), rounds // 2)
            found[str(count)] = alternately(rows, turns, EXAMPLES)
    return found


def _ours(epochs: int, folder: Path, cold: bool, device: str) -> dict[str, Command]:
    cache = folder / "compiled"
    environment = {
        "VAE_RUNS_DIR": str(folder / "runs"),
        "WANDB_MODE": "offline",
        "PYTHONPATH": str(EXPERIMENTS.parent),
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
    }

    def fit(samples: int, compiled: str, before: Callable[[], Any] = lambda: None) -> Command:
        words = ["fit", "--config", "pytorch_example", "--trainer.max_epochs", str(epochs)]
        words += ["--model.test_samples", str(samples), "--model.compile", compiled]
        words += ["--trainer.accelerator", "cpu" if device == "cpu" else "gpu"]
        return Command(script("train.py", *words), None, environment, before)

    rows = {"fit, test_samples 0": fit(0, "false")}
    if cold:
        forget = partial(shutil.rmtree, cache, ignore_errors=True)
        rows["fit, test_samples 100"] = fit(100, "false")
        rows["fit, compile step, cold cache, test_samples 0"] = fit(0, "step", forget)
    rows["fit, compile step, warm cache, test_samples 0"] = fit(0, "step")
    return rows
