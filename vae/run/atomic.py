"""Checkpoints are written whole or not at all, and the one before is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from vae.models.files import PREVIOUS

__all__ = ["AtomicCheckpointIO", "PREVIOUS"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file, syncs it to disk, and only then renames it.

    So a crash, a full disk or a power cut leaves the old file whole. A ``last.ckpt`` that is there
    becomes ``last-previous.ckpt`` first.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            temporary.unlink(missing_ok=True)
            before = ": the checkpoint before it is whole" if path.exists() else ""
            raise OSError(f"cannot write {path} ({error}){before}") from None
        if path.name == "last.ckpt" and path.exists():
            path.replace(path.with_name(PREVIOUS))
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the names too
        finally:
            os.close(folder)
