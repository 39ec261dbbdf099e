"""Processes that another program starts: Slurm's ``srun``, or ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch import Trainer

__all__ = ["assert_started", "cluster_environment"]


def cluster_environment(
    plugins: Sequence[Any], devices: Any, num_nodes: int
) -> list[ClusterEnvironment]:
    """The trainer's plugin under Slurm, else none.

    Under Slurm, Lightning takes the ranks of ``srun``, and by itself also requeues a job on
    SIGUSR1, from a checkpoint in the current folder that the next job there starts from, whatever
    it trains. Here a run is always ended by SIGTERM and continued by ``resume``; requeueing is left
    to the job's script (``experiments/slurm``). A run of one process has no rank: several of them
    under one ``srun`` are independent runs.

    Arguments:
        plugins: The user's; a cluster environment among them is used instead.
        devices: The trainer's.
        num_nodes: The trainer's.

    Raises:
        ValueError: If ``srun`` did not say how many processes a node has.
    """
    given = any(isinstance(plugin, ClusterEnvironment) for plugin in plugins)
    if given or TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    if num_nodes == 1 and devices in (1, "1", [0]):
        return [LightningEnvironment()]
    try:
        return [SLURMEnvironment(auto_requeue=False)]
    except RuntimeError as error:
        raise ValueError(error) from None


def assert_started(trainer: Trainer) -> None:
    """Refuses to train in another number of processes than were started.

    They would wait for those that are missing, or each train by itself.

    Raises:
        ValueError: If the numbers differ.
    """
    asked = trainer.num_devices * trainer.num_nodes
    if TorchElasticEnvironment.detect():
        started, by = TorchElasticEnvironment().world_size(), "torchrun"
    elif asked > 1 and SLURMEnvironment.detect():
        started, by = SLURMEnvironment(auto_requeue=False).world_size(), "srun"
    elif trainer.num_nodes > 1 and "MASTER_ADDR" not in os.environ:
        raise ValueError(
            f"trainer.num_nodes {trainer.num_nodes}: it would wait for the others, which nobody"
            " has started; use srun or torchrun"
        )
    else:
        return
    if started != asked:
        raise ValueError(
            f"{by} started {started} process{'es' * (started != 1)}, and trainer.devices"
            f" {trainer.num_devices} on trainer.num_nodes {trainer.num_nodes} are {asked}: give"
            " both the same number"
        )
