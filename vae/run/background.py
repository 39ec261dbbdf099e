"""A run's checkpoints are written in the background, while training goes on."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from vae.run.atomic import AtomicCheckpointIO, replace_checkpoint

__all__ = ["BackgroundCheckpointIO", "check_checkpoints", "wait_for_checkpoints"]


class BackgroundCheckpointIO(AtomicCheckpointIO):
    """Writes the checkpoints of one folder in a thread, whole or not at all, in their order.

    A call returns once the checkpoint's bytes are in memory: what then changes in place is not in
    it. While one is written, one more may wait; a third call waits for the first. After one that
    failed none is written, and the next call raises its error. To load or to remove a checkpoint,
    and to save one in another folder, waits for all before it.

    Lightning's ``AsyncCheckpointIO`` is not used, as it lets any number of checkpoints wait, removes
    an old file before the new one is written, goes on after an error (``last.ckpt`` would then name
    a ``best.ckpt`` that is not there), and loads without waiting. Before 2.6 it took no copy; its
    copy of a GPU's tensors stays on the GPU, and is read from there by another thread, which would
    disturb the capture of a CUDA graph.

    Arguments:
        folder: Of the run's checkpoints. Other files, as of a user's ``ModelCheckpoint``, are there
            when the call returns.
        first: Called in the thread before each checkpoint is written, such as to sync the metrics
            that it counts.
    """

    def __init__(self, folder: Path, first: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.folder, self.first = folder, first
        self._pending: list[Future[None]] = []  # the oldest first
        self._executor: ThreadPoolExecutor | None = None
        self._failed = False

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(path)
        if path.parent.resolve() != self.folder.resolve():
            self.wait()
            super().save_checkpoint(checkpoint, path)
            return
        content = io.BytesIO()
        torch.save(checkpoint, content)
        self.wait(1)
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "checkpoints")
        self._pending.append(self._executor.submit(self._write, content, path))

    def _write(self, content: io.BytesIO, path: Path) -> None:
        if self._failed:
            return
        try:
            self.first()
            replace_checkpoint(path, lambda file: file.write(content.getbuffer()))
        except BaseException:
            self._failed = True
            raise

    def wait(self, left: int = 0) -> None:
        """Returns when at most ``left`` checkpoints are not on the disk yet.

        Raises:
            OSError: If one could not be written.
        """
        while len(self._pending) > left:
            wait(self._pending[:1])
            if error := self._pending.pop(0).exception():
                wait(self._pending)  # which are not written
                self._pending, self._failed = [], False
                raise error

    def check(self) -> None:
        """Raises the error of a checkpoint that could not be written; does not wait.

        Raises:
            OSError: If there is one.
        """
        while self._pending and self._pending[0].done():
            self.wait(len(self._pending) - 1)

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.wait()
        return super().load_checkpoint(path, *args, **kwargs)

    def remove_checkpoint(self, path: str | Path) -> None:
        self.wait()
        super().remove_checkpoint(path)

    def teardown(self) -> None:
        """Waits for all; an error is raised, or printed if another one is on its way already."""
        ended = sys.exc_info()[1]
        try:
            self.wait()
        except OSError as error:
            if ended is None:
                raise
            print(f"error: {error}", file=sys.stderr)
        finally:
            if self._executor is not None:
                self._executor.shutdown()
                self._executor = None


def wait_for_checkpoints(trainer: Trainer) -> None:
    """Returns when every checkpoint that this process has saved is on the disk.

    Raises:
        OSError: If one could not be written.
    """
    if isinstance(writer := trainer.strategy.checkpoint_io, BackgroundCheckpointIO):
        writer.wait()


def check_checkpoints(trainer: Trainer) -> None:
    """Raises the error of a checkpoint that could not be written; does not wait.

    Raises:
        OSError: If there is one.
    """
    if isinstance(writer := trainer.strategy.checkpoint_io, BackgroundCheckpointIO):
        writer.check()
