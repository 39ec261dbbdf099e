"""Finds a checkpoint, by its own path or by its run's folder."""

from __future__ import annotations

import stat
from pathlib import Path

from vae.models import hub_folder

__all__ = ["PREVIOUS", "find_checkpoint", "is_special"]

PREVIOUS = "last-previous.ckpt"
"""The checkpoint before ``last.ckpt``."""


def is_special(path: Path) -> bool:
    """Whether a path is there, and neither a file nor a folder: opened, it could wait for ever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # not there, or no path at all
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def find_checkpoint(path: str | Path, prefer: str = "best.ckpt") -> Path:
    """A checkpoint, from its own path or from a run's folder: its best, or what to ``prefer``.

    Of a folder of the Hugging Face hub, it is the file of the weights.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is a pipe, a device or a socket.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        for name in (prefer, "best.ckpt", "last.ckpt", PREVIOUS):
            if is_special(path / "checkpoints" / name):
                path = path / "checkpoints" / name
                break
            if (path / "checkpoints" / name).is_file():
                return path / "checkpoints" / name
        else:
            if hub_folder.is_folder(path):
                return path / hub_folder.WEIGHTS
            raise FileNotFoundError(
                f"{path} holds no checkpoints/best.ckpt or last.ckpt: name a run's folder or a .ckpt file"
            )
    if is_special(path):
        raise ValueError(f"{path} is a pipe, a device or a socket: name a regular file")
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: name a .ckpt file or a run's folder")
    return path
