"""Says what the test at a run's end will take."""

from __future__ import annotations

import math
import time
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from vae.data.batch import images_in
from vae.data.source import images_of
from vae.evaluation.terms import fixed_noise
from vae.training.module import VAEModule

__all__ = ["ClosingTest"]


DECODINGS = 400
"""Decodings that are timed beforehand: some milliseconds of an MLP."""


class ClosingTest(Callback):
    """Prints K, the number of images, and about how long the estimate of log p(x) takes.

    It times some decodings before the first batch, without a draw from the test's generators.
    """

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        module = cast(VAEModule, pl_module)
        K = module.test_samples
        if batch_idx or dataloader_idx or not K or not trainer.is_global_zero:
            return
        x = images_in(batch)
        batches = trainer.num_test_batches[0]  # infinite where nobody knows
        known = images_of(trainer.datamodule).count("test")  # type: ignore[attr-defined]
        images = min(known or math.inf, batches * len(x) * trainer.world_size)
        number = "the" if images == math.inf else f"{images:,}"
        took = _seconds(module, x, K) * images / trainer.world_size
        say = print if (bar := trainer.progress_bar_callback) is None else bar.print
        say(
            f"testing on {number} images; log p(x) by K = {K:,} samples of each takes"
            f" {'an unknown time' if took == math.inf else _roughly(took)}"
            " (--model.test_samples 0 leaves it out)"
        )


def _seconds(module: VAEModule, x: Tensor, K: int) -> float:
    """About how long the estimate takes of one image."""
    k = min(K, DECODINGS // 20)
    some = x[: DECODINGS // k]
    seconds = 0.0
    with fixed_noise(x.device, 0):
        for _ in range(2):  # the first one warms up
            started = time.perf_counter()
            module.vae.log_likelihood(some, k).sum().item()  # waits for the device
            seconds = time.perf_counter() - started
    return seconds * K / (k * len(some))


def _roughly(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {unit}"
    return "a second" if seconds >= 1 else "less than a second"
