"""Checkpoints are written whole or not at all, and the one before is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from vae.models.files import PREVIOUS
from vae.whole_files import replacing

__all__ = ["PREVIOUS", "AtomicCheckpointIO", "replace_checkpoint"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint by :func:`replace_checkpoint`."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        replace_checkpoint(Path(path), lambda file: torch.save(checkpoint, file))


def replace_checkpoint(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a checkpoint whole or not at all (:func:`vae.whole_files.replacing`).

    A ``last.ckpt`` that is there becomes ``last-previous.ckpt`` first.

    Arguments:
        path: Of the checkpoint.
        write: Writes its content to an open file.

    Raises:
        OSError: If it cannot be written.
    """
    try:
        with replacing(path) as file:
            try:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            except RuntimeError as error:  # as which torch reports a full disk
                raise OSError(str(error)) from None
            if path.name == "last.ckpt" and path.exists():
                path.replace(path.with_name(PREVIOUS))
    except OSError as error:
        before = ": the checkpoint before it is whole" if path.exists() else ""
        raise OSError(f"{error}{before}") from None
