"""``metrics.jsonl``: a row for every logged step."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from vae.run.files import lines_of
from vae.whole_files import replace_text

__all__ = ["JSONLLogger"]


class JSONLLogger(Logger):
    """Appends metrics to ``metrics.jsonl``: a line a row, with the optimiser step and the time.

    Arguments:
        run: The run's folder.
        rows: How many of the existing lines to keep, by default all. A continued run logs again what
            came after its checkpoint; lines beyond are removed when the first row is logged, or by
            :meth:`begin`.
    """

    def __init__(self, run: Path, rows: int | None = None) -> None:
        super().__init__()
        self.run, self.path, self.rows = run, run / "metrics.jsonl", 0
        self._kept: str | None = None  # the text that it is to be cut to
        if self.path.exists():
            lines, text = lines_of(self.path)
            self.rows = len(lines[:rows])
            kept = "".join(f"{line}\n" for line in lines[:rows])
            self._kept = kept if kept != text else None

    def begin(self) -> None:
        """Cuts the file to the rows that are kept."""
        if self._kept is not None:
            replace_text(self.path, self._kept)
            self._kept = None

    @property
    def name(self) -> str:
        """With :attr:`version`, where in the run's folder a ``ModelCheckpoint`` of the user's writes:
        beside the run's own checkpoints, and not among them."""
        return "callbacks"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.run)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the configuration is in ``config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float | Tensor], step: int | None = None) -> None:
        line = {"step": step, "time": round(time.time(), 3)} | {
            k: float(v) for k, v in metrics.items()
        }
        self.run.mkdir(parents=True, exist_ok=True)
        self.begin()
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise OSError(f"cannot write {self.path} ({error.strerror})") from None
        self.rows += 1

    def sync(self) -> None:
        """Returns when every line is on the disk."""
        if self.path.exists():
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
