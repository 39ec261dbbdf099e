"""All that is used of Lightning's internals, for which it has no public hook.

``tests/training/test_lightning_private.py`` fails if a version of Lightning changes one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from vae.data.loader import StepLoader

if TYPE_CHECKING:
    from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

__all__ = [
    "SavedPosition",
    "count_step",
    "parser_of",
    "regroup",
    "saved_position",
    "saves_by_steps",
    "saves_by_time",
    "set_epochs",
    "set_logged_step",
    "settle",
]


def count_step(trainer: Trainer) -> None:
    """Counts an optimiser step, ``trainer.global_step``, that Lightning's optimiser did not take.

    Lightning's own ``optimizer.step()`` does it too, for a tenth of a millisecond a step.
    """
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()


def set_logged_step(trainer: Trainer, step: int) -> None:
    """Sets the step that Lightning logs under: by itself it counts batches, not optimiser steps."""
    trainer.fit_loop.epoch_loop._batches_that_stepped = step


def set_epochs(trainer: Trainer, epochs: int) -> None:
    """Sets the number of finished epochs, ``trainer.current_epoch``."""
    progress = vars(trainer.fit_loop.epoch_progress.current)
    progress["processed"] = progress["completed"] = epochs


def saves_by_steps(checkpoint: ModelCheckpoint) -> bool:
    """Whether it saves every so many steps, and not only after a validation or an epoch."""
    return bool(checkpoint._every_n_train_steps)


def saves_by_time(checkpoint: ModelCheckpoint) -> bool:
    """Whether it is to save after an interval of time."""
    return checkpoint._train_time_interval is not None


def parser_of(cli: LightningCLI) -> LightningArgumentParser:
    """The parser of the command line's one subcommand, ``fit``."""
    return cli._parser("fit")


class SavedPosition(NamedTuple):
    """How far a run had come when it was saved.

    Attributes:
        epochs: Finished epochs.
        steps: Optimiser steps.
        batches: Batches of the unfinished epoch that are done.
        total: Batches of an epoch; None if the checkpoint does not say.
    """

    epochs: int
    steps: int
    batches: int
    total: int | None


def saved_position(checkpoint: dict[str, Any]) -> SavedPosition:
    """How far the run of a checkpoint, which is settled, had come."""
    loop = _loop_of(checkpoint)
    epochs = loop["epoch_progress"]["current"]["processed"]
    loader = next(iter(loop["state_dict"].get("combined_loader") or [{"batch": 0}]))
    steps, batches = int(checkpoint["global_step"]), int(loader["batch"])
    return SavedPosition(int(epochs), steps, batches, loader.get("total"))


def _loop_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    return checkpoint["loops"]["fit_loop"]


def settle(checkpoint: dict[str, Any], loader: StepLoader, step: int) -> None:
    """Makes a saved loop's state that of a moment between two groups of optimiser steps.

    Lightning saves how far its counters are, and guesses from them in which hook that was; with
    ``max_steps``, at the end of an epoch, and where a validation is due, it guesses wrong. In the
    state made here everything before is done, a validation too; the next thing to come is a group
    of this epoch or, at its end, the first one of the next.

    Arguments:
        checkpoint: What Lightning saved, at any moment; changed in place.
        loader: The training data's.
        step: The number of optimiser steps that are done.
    """
    loop = _loop_of(checkpoint)
    epochs, groups = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    done = loader.done % loader.total  # steps of an epoch that is not over
    before = groups["total"]["ready"] - groups["current"]["ready"]  # groups of earlier epochs
    if loader.done == loader.total:
        over, total = epochs["current"]["started"], groups["total"]["ready"]
    else:  # a group that max_steps cut short is not done
        over, total = epochs["current"]["processed"], before + done // loader.steps
        if done:
            over = epochs["current"]["started"] - 1
    for which in ("total", "current"):
        begun = over + (done > 0)
        epochs[which].update(ready=begun, started=begun, processed=over, completed=over)
        validated = loop["epoch_loop.val_loop.batch_progress"]
        validated[which] = dict.fromkeys(validated[which], 0)
    _set_groups(groups, total, done // loader.steps)
    groups["is_last_batch"] = validated["is_last_batch"] = False
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] = step
    for state in loop["state_dict"].get("combined_loader", []):
        state["epoch"] = over


def regroup(checkpoint: dict[str, Any], steps: int) -> None:
    """Makes a saved loop's state one whose groups are of ``steps`` optimiser steps.

    Arguments:
        checkpoint: A checkpoint that was settled; changed in place.
        steps: Optimiser steps a group, where the run is continued.
    """
    loop = _loop_of(checkpoint)
    for state in loop["state_dict"].get("combined_loader", []):
        if state.get("steps_per_batch", steps) != steps and state.get("total"):
            state["steps_per_batch"] = steps
            done, epochs = state["batch"] // steps, loop["epoch_progress"]["current"]["processed"]
            total = epochs * -(-state["total"] // steps) + done
            _set_groups(loop["epoch_loop.batch_progress"], total, done)


def _set_groups(progress: dict[str, Any], total: int, current: int) -> None:
    """Sets the number of groups that are done in all, and in the current epoch."""
    for which, count in (("total", total), ("current", current)):
        progress[which] = dict.fromkeys(progress[which], count)
