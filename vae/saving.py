"""Checkpoints that survive: written whole or not at all, the one before kept, and everything in
them that the run needs to go on as if it had never stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vae.loader import StepLoader
from vae.numerics import NonFiniteError
from vae.tracking import JSONLLogger

__all__ = ["AtomicCheckpointIO", "LastCheckpoint", "PREVIOUS"]

PREVIOUS = "last-previous.ckpt"
"""The checkpoint before ``last.ckpt``."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file, has it on the disk, and only then gives it its name: a crash, a
    full disk or a power cut leave the old file whole. ``last.ckpt`` becomes ``last-previous.ckpt``
    first."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            temporary.unlink(missing_ok=True)
            raise OSError(
                f"cannot write {path} ({error}): the checkpoint before it is whole"
            ) from None
        if path.name == "last.ckpt" and path.exists():
            path.replace(path.with_name(PREVIOUS))
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the names too
        finally:
            os.close(folder)


class LastCheckpoint(Checkpoint):
    """Keeps ``last.ckpt``, from which a run is continued: at the start, at the end of each epoch,
    every so many optimiser steps or minutes in between, and when a signal ends the run.

    Ctrl-C takes effect between two groups of optimiser steps; pressed again, at once. A step
    whose numbers are not finite leaves ``crash.ckpt``, which repeats it.

    Arguments:
        folder: Where to.
        every_n_steps: Optimiser steps between checkpoints inside an epoch, or None.
        every_n_minutes: Minutes between checkpoints inside an epoch, or None.
    """

    def __init__(
        self,
        folder: Path,
        every_n_steps: int | None = None,
        every_n_minutes: float | None = 10.0,
    ) -> None:
        for name, value in (("steps", every_n_steps), ("minutes", every_n_minutes)):
            if value is not None and value <= 0:
                raise ValueError(f"checkpoint_every_n_{name} must be positive, got {value}")
        self.folder = folder
        self.every_n_steps, self.every_n_minutes = every_n_steps, every_n_minutes
        self.saved_at_step, self.saved_at = -1, time.monotonic()
        self.before, self.started = 0.0, self.saved_at
        self.interrupted = False
        self._handler: Any = None

    @property
    def path(self) -> Path:
        return self.folder / "last.ckpt"

    @property
    def seconds(self) -> float:
        """How long the run has trained, in all its processes one after the other."""
        return self.before + time.monotonic() - self.started

    def save(self, trainer: Trainer, name: str = "last.ckpt") -> None:
        """Writes a checkpoint. What was logged up to here is on the disk before it."""
        for logger in trainer.loggers:
            if isinstance(logger, JSONLLogger):
                logger.sync()
        trainer.save_checkpoint(self.folder / name)
        self.saved_at_step, self.saved_at = trainer.global_step, time.monotonic()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        rows = [logger.rows for logger in trainer.loggers if isinstance(logger, JSONLLogger)]
        checkpoint.setdefault("vae", {})["rows"] = rows[0] if rows else 0
        checkpoint["vae"]["seconds"] = self.seconds

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        before = checkpoint["vae"].get("seconds")
        self.before = float(before) if isinstance(before, (int, float)) else 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 0:
            self.save(trainer)
        self._handler = signal.signal(signal.SIGINT, self._on_interrupt)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return  # the end of the epoch saves
        ended = trainer.received_sigterm  # type: ignore[attr-defined]
        if trainer.strategy.reduce_boolean_decision(self.interrupted or ended, all=False):
            self.save(trainer)
            raise SIGTERMException if ended else KeyboardInterrupt
        step, last = trainer.global_step, self.saved_at_step
        steps, minutes = self.every_n_steps, self.every_n_minutes
        due = steps is not None and step // steps > max(0, last) // steps
        if due or (minutes is not None and time.monotonic() - self.saved_at > 60 * minutes):
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save(trainer)
        if trainer.strategy.reduce_boolean_decision(self.interrupted, all=False):
            raise KeyboardInterrupt  # Lightning itself ends on SIGTERM here

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._give_back()
        if isinstance(exception, NonFiniteError):
            if isinstance(trainer.train_dataloader, StepLoader):
                trainer.train_dataloader.done -= 1  # the step is to be repeated
            self.save(trainer, "crash.ckpt")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._give_back()

    def _give_back(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """There is none."""
