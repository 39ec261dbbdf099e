"""Which hooks are overridden, and whether several optimiser steps may be one of Lightning's batches.

Lightning's loop costs as much as a step of a small VAE. So one of its batches is a group of
optimiser steps (``steps_per_batch`` of the data module). A callback that looks at every batch, or
counts them, would see groups; if there is one, every optimiser step is a batch of its own.

A callback of one's own that can do with groups says so by an attribute ``takes_groups = True``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, cast
from weakref import WeakSet

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    StochasticWeightAveraging,
    Timer,
    TQDMProgressBar,
)
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from vae.data.source import ImageSource
from vae.training.lightning_private import saves_by_steps, saves_by_time
from vae.training.limits import count_in_steps

__all__ = ["OPTIMIZER_HOOKS", "group_steps", "overriding"]


OPTIMIZER_HOOKS = (
    *("on_before_zero_grad", "on_before_backward", "on_after_backward"),
    "on_before_optimizer_step",
)
"""Lightning's hooks inside an optimiser step."""

TRANSFER_HOOKS = (
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
)

BATCH_HOOKS = ("on_train_batch_start", "on_train_batch_end", *OPTIMIZER_HOOKS)
"""Lightning's hooks that are called for every batch."""

SHOWN = (TQDMProgressBar, RichProgressBar, Timer)
"""Callbacks of Lightning's to which it does not matter what a batch is."""

_GROUPED: WeakSet[Trainer] = WeakSet()


def overriding(hooks: Iterable[str], found: Iterable[object]) -> list[str]:
    """The names of those classes, other than Lightning's and ours, that override one of the hooks.

    Arguments:
        hooks: The names of methods.
        found: Callbacks, a module, a data module.
    """
    return [type(one).__name__ for one in found if any(_own(one, hook) for hook in hooks)]


def _own(one: object, hook: str) -> bool:
    if hook in vars(one):  # as LambdaCallback has it
        return True
    owner = next((kind for kind in type(one).__mro__ if hook in vars(kind)), object)
    bases = (object, Callback, LightningModule, LightningDataModule)
    return owner not in bases and not (
        owner.__module__.startswith("lightning.pytorch.core.")
        or (owner.__module__.startswith("vae.") and not isinstance(one, Callback))
    )


def _takes_groups(callback: Callback) -> bool:
    if type(callback) in SHOWN or getattr(callback, "takes_groups", False):
        return True
    if type(callback) is LearningRateMonitor:
        return callback.logging_interval == "epoch"
    return type(callback) is ModelCheckpoint and not saves_by_steps(callback)


def _looking(callbacks: Sequence[Callback], module: LightningModule, data: object) -> list[str]:
    """The names of what would see, or count, groups."""
    return [
        *overriding(BATCH_HOOKS, [c for c in callbacks if not _takes_groups(c)]),
        *overriding((*BATCH_HOOKS, *TRANSFER_HOOKS, "training_step"), [module]),
        *overriding(TRANSFER_HOOKS, [data]),
    ]


def group_steps(trainer: Trainer, module: LightningModule, data: ImageSource) -> None:
    """Settles the number of optimiser steps in a batch of Lightning's, once for a trainer.

    Then makes the trainer's limits and intervals count optimiser steps.

    Arguments:
        trainer: The trainer, before it is used.
        module: What it will train.
        data: Its data, set up.

    Raises:
        ValueError: If a limit leaves nothing, or an interval falls between two groups.
        MisconfigurationException: For a callback that Lightning heeds in automatic optimisation
            only.
    """
    if trainer in _GROUPED:
        return
    callbacks = cast(list[Callback], trainer.callbacks)  # type: ignore[attr-defined]
    running = trainer.state.fn is not None  # then the trainer has those of the module already
    own: Any = [] if running else module.configure_callbacks()
    callbacks = [*callbacks, *(own if isinstance(own, Sequence) else [own])]
    _assert_supported(callbacks)
    if data.steps_per_batch > 1 and (looking := _looking(callbacks, module, data)):
        data.steps_per_batch = 1
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            some = ", ".join(dict.fromkeys(looking))
            print(
                f"steps are not grouped, since {some} looks at every batch: about 7 % slower,"
                " more for models smaller than the default",
                file=sys.stderr,
            )
    count_in_steps(trainer, data)
    _GROUPED.add(trainer)


def _assert_supported(callbacks: Sequence[Callback]) -> None:
    for callback in callbacks:
        if isinstance(callback, StochasticWeightAveraging):
            raise MisconfigurationException(
                "StochasticWeightAveraging is not supported: use lightning.pytorch.callbacks'"
                " EMAWeightAveraging or WeightAveraging"
            )
        if isinstance(callback, ModelCheckpoint) and saves_by_time(callback):
            raise MisconfigurationException(
                "ModelCheckpoint's train_time_interval has no effect here: use its"
                " every_n_train_steps, or --checkpoint_every_n_minutes"
            )
