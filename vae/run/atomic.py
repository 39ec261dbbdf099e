"""Checkpoints are written whole or not at all, and the one before is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from vae.models.files import PREVIOUS

__all__ = ["PREVIOUS", "AtomicCheckpointIO", "replace_checkpoint"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint by :func:`replace_checkpoint`."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        replace_checkpoint(Path(path), lambda file: torch.save(checkpoint, file))


def replace_checkpoint(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a temporary file, syncs it to disk, and only then gives it the checkpoint's name.

    So a crash, a full disk or a power cut leaves the old file whole. A ``last.ckpt`` that is there
    becomes ``last-previous.ckpt`` first.

    Arguments:
        path: Of the checkpoint.
        write: Writes its content to an open file.

    Raises:
        OSError: If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if path.name == "last.ckpt" and path.exists():
            path.replace(path.with_name(PREVIOUS))
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the names too
        finally:
            os.close(folder)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        _remove(temporary)
        before = ": the checkpoint before it is whole" if path.exists() else ""
        raise OSError(f"cannot write {path} ({error}){before}") from None


def _remove(path: Path) -> None:
    with suppress(OSError):  # of a folder that has become read-only
        path.unlink(missing_ok=True)
