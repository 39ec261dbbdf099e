"""The trainer's parts: the user's, and those that every run has."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, LambdaCallback
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from vae.cli.checks import assert_runs_here
from vae.data.source import ImageSource
from vae.run.background import BackgroundCheckpointIO
from vae.run.best import BestCheckpoint
from vae.run.cluster import assert_started, cluster_environment
from vae.run.last import LastCheckpoint
from vae.run.metrics import JSONLLogger
from vae.training.callbacks.closing_test import ClosingTest
from vae.training.callbacks.collapse import CollapseWatch
from vae.training.callbacks.images import ImageGrids
from vae.training.callbacks.progress import Progress
from vae.training.callbacks.standard_errors import StandardErrors
from vae.training.grouping import group_steps
from vae.training.limits import assert_monitored
from vae.training.module import VAEModule

__all__ = ["add_parts", "as_list", "check_and_prepare", "shows_progress", "trust_world_size"]


def as_list(given: Any) -> list[Any]:
    """An option of the trainer, which takes one object, several, or None, as a list."""
    return given if isinstance(given, list) else [given] if given else []


def shows_progress(config: dict[str, Any]) -> bool:
    """Whether there is a terminal to draw a progress bar on, and the user wants one."""
    return sys.stderr.isatty() and config.get("enable_progress_bar") is not False


def add_parts(
    config: dict[str, Any],
    best: BestCheckpoint | None,
    last: LastCheckpoint,
    metrics: JSONLLogger | None,
    begin: Callable[[], None],
    image_every: int,
    errors: StandardErrors,
) -> None:
    """Adds a run's callbacks, plugins and logger to the trainer's options, which are changed.

    Arguments:
        config: The trainer's options, instantiated.
        best: Keeps the best checkpoint; None without validation.
        last: Keeps the last one.
        metrics: Writes ``metrics.jsonl``; None if the user has another logger.
        begin: Called when training starts.
        image_every: Epochs between image grids.
        errors: Finds the standard errors of the test.
    """
    run = last.folder.parent
    callbacks: list[Callback] = []
    if not config.get("fast_dev_run"):  # which leaves nothing behind
        callbacks += [best] if best else []
        callbacks += [
            ClosingTest(),
            errors,
            CollapseWatch(),
            ImageGrids(run / "images", image_every),
            LambdaCallback(on_train_start=lambda *_: begin()),  # nothing was refused before
            last,  # the last callback: it saves the state of all the others
        ]
    if shows_progress(config):
        callbacks.append(Progress())
    else:
        config["enable_progress_bar"] = False
    config["callbacks"] = [*as_list(config.get("callbacks")), *callbacks]
    plugins = as_list(config.get("plugins"))
    environment = cluster_environment(plugins, config["devices"], config["num_nodes"])
    first = metrics.sync if metrics else lambda: None  # the rows that a checkpoint counts
    config["plugins"] = [*plugins, *environment, BackgroundCheckpointIO(last.folder, first)]
    # Under Slurm, Lightning starts from a checkpoint that any job has left in this folder.
    config["default_root_dir"] = config["default_root_dir"] or str(run)
    if config.get("fast_dev_run"):
        config["logger"] = False
    elif metrics:
        config["logger"] = metrics


def check_and_prepare(
    trainer: Trainer, model: VAEModule, data: ImageSource, validates: bool
) -> None:
    """Refuses what this trainer cannot do, and has it count in optimiser steps.

    Raises:
        ValueError: If something is refused.
    """
    trust_world_size(trainer)
    assert_started(trainer)
    assert_monitored(trainer.callbacks, validates)  # type: ignore[attr-defined]
    group_steps(trainer, model, data)
    assert_runs_here(trainer, model)


def trust_world_size(trainer: Trainer) -> None:
    """Lets a training of one process write, whatever rank the environment says it has.

    A job's script, or ``srun``, starts independent trainings too.
    """
    if trainer.world_size == 1:
        rank_zero_only.rank = 0  # type: ignore[attr-defined]
