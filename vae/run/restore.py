"""From a checkpoint back to the Lightning module that made it."""

from __future__ import annotations

from pathlib import Path

from vae.run.checkpoint import find_checkpoint
from vae.training.module import VAEModule

__all__ = ["load_module"]


def load_module(path: str | Path | None = None) -> VAEModule:
    """The Lightning module of a checkpoint, in evaluation mode, on the CPU.

    Arguments:
        path: A checkpoint, a run's folder, or None for the newest run.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: As :meth:`vae.training.composed.ComposedModule.load_from_checkpoint`.
    """
    return VAEModule.load_from_checkpoint(find_checkpoint(path))
