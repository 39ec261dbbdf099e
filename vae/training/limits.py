"""Limits and intervals of the trainer: counted in optimiser steps, refused where they cannot be.

A batch of Lightning's loop is a group of optimiser steps (``steps_per_batch`` of the data module).
What Lightning would refuse only after a run has begun is refused here before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from vae.data.source import ImageSource

__all__ = ["assert_monitored", "assert_trains", "count_in_steps", "planned_steps"]


MONITORED = ("val/elbo", "val/rate", "val/rate_mc", "val/distortion")
"""Metrics that a callback can watch; a model logs one of the two rates."""


def assert_monitored(callbacks: Sequence[Callback], validates: bool) -> None:
    """Refuses callbacks of Lightning's that watch what nothing logs, as they would after an epoch.

    Arguments:
        callbacks: All of them; one from elsewhere may log what it likes.
        validates: Whether there is a validation.

    Raises:
        ValueError: If there is one.
    """
    if not all(type(c).__module__.startswith(("lightning.", "vae.")) for c in callbacks):
        return
    for callback in callbacks:
        found, own = getattr(callback, "monitor", None), ("step", "epoch")
        if isinstance(callback, EarlyStopping) and not callback.strict:
            continue
        if not isinstance(callback, (EarlyStopping, ModelCheckpoint)) or found in (None, *own):
            continue
        if not validates or found not in MONITORED:
            has = f"one of {', '.join(MONITORED)}" if validates else "nothing, without validation"
            raise ValueError(f"{type(callback).__name__} watches {found}: it can watch {has}")


def assert_trains(trainer: Any, continued: bool = False) -> None:
    """Refuses limits under which nothing would be trained, or one of which has no effect.

    Arguments:
        trainer: The trainer's options.
        continued: Whether the run is continued: it may be at its end, and lack its test only.

    Raises:
        ValueError: If there is one.
    """
    if (trainer.log_every_n_steps or 0) < 0:
        raise ValueError("trainer.log_every_n_steps must not be negative; 0: never")
    if trainer.check_val_every_n_epoch is not None and trainer.check_val_every_n_epoch < 1:
        raise ValueError("check_val_every_n_epoch must be at least 1; limit_val_batches 0: never")
    for unit in ("epochs", "steps"):
        least, most = trainer[f"min_{unit}"] or 0, trainer[f"max_{unit}"]
        if least < 0:
            raise ValueError(f"trainer.min_{unit} must not be negative, got {least}")
        if most is not None and 0 <= most < least:
            raise ValueError(f"trainer.min_{unit} {least} is more than max_{unit} {most}")
        if most == 0 and not continued:
            raise ValueError(f"trainer.max_{unit} 0 trains nothing: give at least 1")
    if trainer.limit_train_batches == 0:
        raise ValueError("trainer.limit_train_batches 0 trains nothing: give at least 1")
    if trainer.max_time is not None and not _seconds(trainer.max_time) > 0:
        raise ValueError(f"trainer.max_time {trainer.max_time} trains nothing: give more")


def _seconds(duration: Any) -> float:
    """The seconds of ``trainer.max_time``; 1 for what the trainer itself will refuse."""
    try:
        if isinstance(duration, str):
            days, hours, minutes, seconds = map(int, duration.split(":"))
            duration = timedelta(days, seconds, 0, 0, minutes, hours)
        elif not isinstance(duration, timedelta):
            duration = timedelta(**dict(duration))
        return float(duration.total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 1.0


def count_in_steps(trainer: Trainer, data: ImageSource, grouped: bool = True) -> None:
    """Makes a trainer's limits and intervals mean optimiser steps, whatever their grouping.

    Arguments:
        trainer: The trainer, before it is used.
        data: What it will be used on, set up.
        grouped: Whether the trainer gets groups of steps from ``data``. If not, its intervals are
            left as they are, and only checked as if it did.

    Raises:
        ValueError: If a limit leaves nothing, or an interval falls between two groups.
    """
    numbers = vars(trainer)  # Lightning declares some of them nowhere
    steps = data.batches("train", trainer.world_size) or 0
    limit = numbers["limit_train_batches"]
    if isinstance(limit, float):
        limit = _part("train", limit, steps)
        numbers["limit_train_batches"] = limit if limit < steps else 1.0
    steps = min(steps, limit)
    for split in ("val", "test"):
        limit = numbers[f"limit_{split}_batches"]
        if isinstance(limit, float):
            _part(split, limit, data.batches(split, trainer.world_size) or 0)
    every, group = numbers.get("val_check_interval"), data.steps_per_batch  # or one by the clock
    if every is not None and every <= 0:
        raise ValueError(f"val_check_interval must be positive, got {every}")
    if isinstance(every, int):
        _assert_between_groups(every, group, steps, numbers["check_val_every_n_epoch"] is None)
        if grouped:
            numbers["val_check_interval"] = every // group


def planned_steps(trainer: Trainer, data: ImageSource) -> float:
    """The optimiser steps of a training in all, by its limits; infinite if it has none.

    Arguments:
        trainer: The trainer, after :func:`count_in_steps`.
        data: What it is used on.
    """
    limit = trainer.limit_train_batches  # type: ignore[attr-defined]
    batches = data.batches("train", trainer.world_size) or math.inf
    each = min(limit, batches) if isinstance(limit, int) else batches
    steps = math.inf if trainer.max_steps == -1 else trainer.max_steps
    epochs = trainer.max_epochs
    return steps if epochs is None or epochs < 0 else min(steps, epochs * each)


def _part(split: str, limit: float, batches: int) -> int:
    """The number of batches that a fraction of them is."""
    if limit and batches and not int(limit * batches):
        raise ValueError(
            f"limit_{split}_batches {limit} is less than one of the {batches} batches: give a"
            " larger part, or a number of batches"
        )
    return int(limit * batches)


def _assert_between_groups(every: int, group: int, steps: int, across_epochs: bool) -> None:
    if every % group:
        raise ValueError(
            f"val_check_interval {every} is no multiple of data.steps_per_batch {group}: choose"
            " either so that it is"
        )
    if across_epochs and steps % group:
        raise ValueError(
            f"val_check_interval across epochs of {steps} steps: data.steps_per_batch {group} does"
            " not divide these; choose one that does"
        )
    if not across_epochs and every > steps:
        raise ValueError(
            f"val_check_interval {every} is more than the {steps} steps of an epoch: use"
            " check_val_every_n_epoch"
        )
