"""The progress bar."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import Tensor

__all__ = ["Progress"]


class Progress(TQDMProgressBar):
    """A progress bar that reads the logged values only when it redraws.

    Lightning's ``prog_bar=True`` would make the host wait for the device at every step. The bar
    counts epochs, images a second and the time left of the whole run; piped, it is silent.

    Arguments:
        refresh_rate: Groups of steps between redraws.
    """

    takes_groups = True  # shows images a second, not batches

    def __init__(self, refresh_rate: int = 3) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._started, self._steps, self._testing = 0.0, 0, False

    @property
    def refresh_rate(self) -> int:
        """Every batch of the test, which may take minutes."""
        return min(1, super().refresh_rate) if self._testing else super().refresh_rate

    def on_test_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._testing = True
        super().on_test_start(trainer, module)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        super().on_train_start(trainer, module)
        self._started, self._steps = time.monotonic(), trainer.global_step

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Ends the bar's line, so that the error message starts on one of its own."""
        for name in ("train", "val", "test"):
            with suppress(TypeError):  # where that bar was not made yet
                getattr(self, f"{name}_progress_bar").close()

    def get_metrics(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        latest = cast(dict[str, Tensor], module.latest)
        shown: dict[str, Any] = {k: f"{float(v):.2f}" for k, v in latest.items() if k != "elbo"}
        val = trainer.callback_metrics.get("val/elbo")
        if val is not None:
            shown["val/elbo"] = f"{float(val):.2f}"
        seconds, done = time.monotonic() - self._started, trainer.global_step - self._steps
        if done and seconds:
            batch_size = trainer.datamodule.batch_size * trainer.world_size  # type: ignore[attr-defined]
            shown["images/s"] = f"{done * batch_size / seconds:,.0f}"
            total = trainer.max_steps
            if total < 0 and trainer.max_epochs and trainer.max_epochs > 0:
                total = trainer.max_epochs * trainer.train_dataloader.total  # type: ignore[union-attr]
            if total > 0:
                left = int(seconds / done * (total - trainer.global_step))
                shown["left"] = f"{left // 60}:{left % 60:02d}"
        return shown
