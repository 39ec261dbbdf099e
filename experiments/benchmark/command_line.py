"""This library's loop as its users have it: ``vae fit``, in this process, with everything on."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
import wandb
from lightning.pytorch import Callback
from torch import Tensor

from vae.cli.app import VAECLI
from vae.data.mnist import MNISTDataModule
from vae.data.source import ImageSource
from vae.devices import asynchronous
from vae.training.callbacks.progress import Progress
from vae.training.module import VAEModule

__all__ = ["OnStep", "fit", "images_on", "own_folder", "silence", "whole_batches", "words_of"]

OnStep = Callable[[int, int], None]
"""Told the number of optimiser steps so far and the images of the last one."""

IMAGES = 60000


def whole_batches(batch_size: int) -> int:
    """The validation images, 400 or more, that leave an epoch of whole batches.

    A compiled step is compiled once more for a smaller batch, in the middle of a measurement.
    """
    return 400 + (IMAGES - 400) % batch_size


def images_on(device: str, num_val: int = 400) -> Tensor:
    """MNIST's training images but the last ``num_val``, uint8 with shape (N, 1, 28, 28)."""
    data = MNISTDataModule(num_val=num_val)
    data.prepare_data()
    data.setup("fit")
    return data.splits["train"].to(device)


def words_of(options: Mapping[str, Any]) -> list[str]:
    """Options as the words of a command line."""
    return [w for name, value in options.items() for w in (f"--{name}", str(value))]


def fit(
    model: Mapping[str, Any], on_step: OnStep, device: str, options: Mapping[str, Any]
) -> None:
    """Trains as ``experiments/train.py fit`` does, by the same code, in a temporary folder.

    Metrics go to ``metrics.jsonl`` and W&B (offline); there are checkpoints, a progress bar and
    validation.

    Arguments:
        model: ``{"class": ..., **arguments}``.
        on_step: Called after each optimiser step.
        device: Where.
        options: Further flags, by name.
    """

    class CommandLine(VAECLI):
        def fit(self, model: VAEModule, datamodule: ImageSource, **kwargs: Any) -> None:
            model.after_step.append(lambda step, x: on_step(step, len(x)))
            callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
            if not any(isinstance(callback, Progress) for callback in callbacks):
                callbacks.insert(0, Progress())  # also where nobody looks
            try:
                self.trainer.fit(model, datamodule=datamodule, **kwargs)  # type: ignore[arg-type]
            finally:
                if wandb.run is not None:
                    wandb.finish()
                if self.session is not None:
                    self.session.lock.close()

    given = {
        **{f"model.{name}": value for name, value in model.items() if name != "class"},
        "data": "MNISTDataModule",
        "trainer.accelerator": "gpu" if asynchronous(torch.device(device)) else "cpu",
        "name": "bench",
        **options,
    }
    torch.compiler.reset()  # what earlier fits compiled counts towards dynamo's limit
    with own_folder(), silence():
        CommandLine(["fit", "--model", model["class"], *words_of(given)])


@contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder of runs, and W&B offline."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VAE_RUNS_DIR"] = folder
        if os.environ.get("WANDB_MODE") != "disabled":
            os.environ["WANDB_MODE"] = "offline"
        try:
            yield Path(folder)
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def silence() -> Iterator[None]:
    """Neither output nor warnings: those of a progress bar, and of a trainer's defaults.

    Raises:
        ValueError: At the end, if a step was not compiled as it was asked for.
    """
    said = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            Path(os.devnull).open("w", encoding="utf-8") as nowhere,
            redirect_stdout(nowhere),
            redirect_stderr(said),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stderr.write(said.getvalue())
    for line in said.getvalue().splitlines():
        if any(words in line for words in INSTEAD):
            raise ValueError(line)


INSTEAD = ("cannot be one graph", "is not compiled")
"""What is said where a step falls back to a slower way, whose numbers these would then be."""
