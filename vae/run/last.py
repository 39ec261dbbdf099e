"""The last checkpoint of a run, from which it goes on as if it had never stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, Timer

from vae.data.loader import StepLoader
from vae.models.files import PREVIOUS
from vae.run.background import check_checkpoints, wait_for_checkpoints
from vae.run.metrics import JSONLLogger
from vae.run.signals import Interrupted, Interruption
from vae.training.lightning_private import settle
from vae.training.nonfinite import NonFiniteError

__all__ = ["LastCheckpoint"]


class LastCheckpoint(Checkpoint):
    """Keeps ``last.ckpt``, from which a run is continued.

    It is written at the start, at the end of each epoch, every so many optimiser steps or minutes
    in between, and when a signal ends the run.

    A signal takes effect between two groups of optimiser steps, in all processes at once. A step
    whose numbers are not finite leaves ``crash.ckpt``, which repeats it.

    Arguments:
        folder: The folder of ``last.ckpt``.
        every_n_steps: Optimiser steps between checkpoints inside an epoch, or None.
        every_n_minutes: Minutes between checkpoints inside an epoch, or None.
        interruption: The handler of signals, if there is one.
    """

    takes_groups = True  # acts between two groups of optimiser steps, and counts the steps

    def __init__(
        self,
        folder: Path,
        every_n_steps: int | None = None,
        every_n_minutes: float | None = 10.0,
        interruption: Interruption | None = None,
    ) -> None:
        for name, value in (("steps", every_n_steps), ("minutes", every_n_minutes)):
            if value is not None and value <= 0:
                raise ValueError(f"checkpoint_every_n_{name} must be positive, got {value}")
        self.folder = folder
        self.every_n_steps, self.every_n_minutes = every_n_steps, every_n_minutes
        self.interruption = interruption or Interruption()
        self.saved_at_step, self.saved_at = -1, time.monotonic()
        self.before, self.started = 0.0, self.saved_at
        self._limit_val_batches: int | float | None = None
        self._loaded: dict[str, Any] = {}
        self._callbacks: dict[str, Any] = {}

    @property
    def path(self) -> Path:
        return self.folder / "last.ckpt"

    @property
    def seconds(self) -> float:
        """How long the run has trained, in all its processes one after the other."""
        return self.before + time.monotonic() - self.started

    def save(self, trainer: Trainer, name: str = "last.ckpt") -> None:
        """Saves a checkpoint, which is written in the background (:mod:`vae.run.background`)."""
        trainer.save_checkpoint(self.folder / name)
        self.saved_at_step, self.saved_at = trainer.global_step, time.monotonic()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        rows = [logger.rows for logger in trainer.loggers if isinstance(logger, JSONLLogger)]
        validated = {k: v for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        checkpoint.setdefault("vae", {}).update(
            {
                "rows": rows[0] if rows else 0,
                "seconds": self.seconds,
                "stopped": _limits(trainer) if _stopped(trainer) else None,
                "validated": {name: float(value) for name, value in validated.items()},
            }
        )
        if isinstance(loader := trainer.train_dataloader, StepLoader):
            settle(checkpoint, loader, trainer.global_step)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._loaded = checkpoint["vae"]
        self._callbacks = checkpoint["callbacks"]
        before = self._loaded.get("seconds")
        self.before = 0.0
        if isinstance(before, (int, float)) and math.isfinite(before):
            self.before = float(before)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.monotonic()
        if self._loaded.get("stopped") == _limits(trainer):  # before there was its test
            trainer.should_stop = True
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            state = self._callbacks.get(callback.state_key)
            score = state.get("current_score") if isinstance(state, dict) else None
            if isinstance(callback, ModelCheckpoint) and isinstance(score, torch.Tensor):
                callback.current_score = score  # the one part that it does not restore

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.interruption.listen()  # Lightning's own handler has processes wait for each other
        for name, value in (self._loaded.get("validated") or {}).items():
            trainer.callback_metrics[name] = torch.tensor(value)
        continued = Path(trainer.ckpt_path or "")
        if continued.name == PREVIOUS and trainer.is_global_zero:
            self.path.unlink(missing_ok=True)  # damaged: it must not become the previous one
        if trainer.global_step and continued.resolve() == self.path.resolve():
            self.saved_at_step = trainer.global_step
        else:
            self.save(trainer)
            wait_for_checkpoints(trainer)  # a disk that is full is known before the first step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Saves and ends between two groups of steps, when a due validation is done too."""
        check_checkpoints(trainer)
        step, last = trainer.global_step, self.saved_at_step
        steps, minutes = self.every_n_steps, self.every_n_minutes
        due = steps is not None and step // steps > max(0, last) // steps
        due |= minutes is not None and time.monotonic() - self.saved_at > 60 * minutes
        number = _greatest(trainer, self.interruption.number or due)
        if number and step != last:
            self.save(trainer)
        if number > 1:
            wait_for_checkpoints(trainer)
            raise Interrupted(number)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        loader = trainer.train_dataloader
        if isinstance(loader, StepLoader) and loader.done % loader.total % loader.steps:
            # Cut short by max_steps: Lightning would take it for a whole group, and validate.
            self._limit_val_batches = trainer.limit_val_batches  # type: ignore[attr-defined]
            trainer.limit_val_batches = 0  # type: ignore[attr-defined]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._limit_val_batches is not None:
            trainer.limit_val_batches = self._limit_val_batches  # type: ignore[attr-defined]
        self.save(trainer)
        if number := _greatest(trainer, self.interruption.number):
            wait_for_checkpoints(trainer)
            raise Interrupted(number)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        wait_for_checkpoints(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.interruption.listen()

    def on_test_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if number := _greatest(trainer, self.interruption.number):
            raise Interrupted(number)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, NonFiniteError):
            self.save(trainer, "crash.ckpt")

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Does nothing: what this callback restores, it takes from the checkpoint itself."""


def _greatest(trainer: Trainer, number: int) -> int:
    """The greatest of all processes' numbers, so that all of them do the same."""
    if trainer.world_size == 1:
        return int(number)
    value = torch.tensor(int(number), device=trainer.strategy.root_device)
    return int(trainer.strategy.reduce(value, reduce_op="max"))


def _limits(trainer: Trainer) -> list[int | None]:
    return [trainer.max_epochs, trainer.max_steps]


def _stopped(trainer: Trainer) -> bool:
    """Whether a callback has ended the run, other than ``Timer``, which keeps its own time."""
    timers = [c for c in trainer.callbacks if isinstance(c, Timer)]  # type: ignore[attr-defined]
    over = any((left := timer.time_remaining()) is not None and left <= 0 for timer in timers)
    return trainer.should_stop and not over
