"""The checkpoint that a user names, by its path, by its run's folder, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vae.models import files
from vae.run.finding import find_runs
from vae.run.folder import runs_dir

if TYPE_CHECKING:
    from vae.models.load import Loaded

__all__ = ["find_checkpoint", "folder_of", "load", "newest_run"]


def newest_run() -> Path:
    """The run that was started last, of those that have a checkpoint.

    Raises:
        FileNotFoundError: If there is none.
    """
    runs = find_runs()
    if not runs:
        raise FileNotFoundError(
            f"no run with a checkpoint in {runs_dir()}: train one first (vae fit), or name a checkpoint"
        )
    return runs[-1]


def find_checkpoint(path: str | Path | None = None, prefer: str = "best.ckpt") -> Path:
    """Finds a checkpoint.

    Arguments:
        path: A checkpoint; a run's folder; or None for the newest run.
        prefer: The checkpoint of a run to take if there are several.

    Raises:
        FileNotFoundError: If it is not there.
    """
    return files.find_checkpoint(newest_run() if path is None else path, prefer)


def load(path: str | Path | None = None) -> Loaded:
    """Loads a trained model, with its checkpoint's contents and path.

    Arguments:
        path: A checkpoint, a run's folder, or None for the newest run.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it cannot be read, names a class that is not trusted, or does not fit.
    """
    from vae.models.load import read  # imports torch; to find a checkpoint needs none

    return read(find_checkpoint(path))


def folder_of(path: Path) -> Path:
    """The folder for what is made from a checkpoint: its run's, or the one that it lies in."""
    if path.parent.name in ("", ".."):  # named from inside
        path = Path(os.path.abspath(path))
    return path.parent.parent if path.parent.name == "checkpoints" else path.parent
