"""The random numbers of a run: each process's own, kept in checkpoints, and restored from them."""

from __future__ import annotations

from typing import cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from vae.data.loader import mix_seeds
from vae.devices import generators, set_generators

__all__ = ["all_generators", "restore_generators", "seed_process"]


def seed_process(module: LightningModule) -> None:
    """Gives each of several processes its own noise.

    They start from the same seed, so that their initial weights are the same. Called before the
    first checkpoint, which holds the generators.
    """
    if module.trainer.world_size > 1:
        torch.manual_seed(mix_seeds(torch.initial_seed(), module.global_rank))


def all_generators(module: LightningModule) -> dict[str, Tensor]:
    """The states of all processes' generators, with a leading dimension if they are several."""
    states = generators(module.device)
    if module.trainer.world_size == 1:
        return states
    gathered = {k: module.all_gather(v.to(module.device)) for k, v in states.items()}
    return {k: cast(Tensor, v).cpu() for k, v in gathered.items()}


def restore_generators(module: LightningModule, states: dict[str, Tensor]) -> None:
    """Sets this process's generators to their saved states.

    On another kind of device, or another number of processes, the run cannot go on exactly; then
    they are seeded anew.

    Arguments:
        module: The module that is trained.
        states: What :func:`all_generators` returned.
    """
    world_size, rank = module.trainer.world_size, module.global_rank
    if states["cpu"].dim() == 1:  # one process
        states = {k: v[None] for k, v in states.items()} if world_size == 1 else {}
    if module.device.type in states and len(states["cpu"]) == world_size:
        set_generators({k: v[rank] for k, v in states.items()}, module.device)
    else:
        torch.manual_seed(mix_seeds(torch.initial_seed(), module.global_step, rank))
