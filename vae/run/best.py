"""The best checkpoint, and callbacks that must not delete files outside of their run.

Lightning's callbacks for checkpoints delete files that their restored state names, wherever these
are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor

__all__ = ["BestCheckpoint", "forget_foreign_paths"]


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``best.ckpt``, of the highest ``val/elbo``.

    From a checkpoint it restores the score and no path, so that it writes to this run's own folder
    after the run was moved.

    Arguments:
        folder: The folder of ``best.ckpt``.
    """

    takes_groups = True  # saves after validations only

    def __init__(self, folder: Path) -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor="val/elbo",
            mode="max",
            save_on_exception=False,
            enable_version_counter=False,
            auto_insert_metric_name=False,
        )

    @property
    def state_key(self) -> str:
        return super().state_key.replace(type(self).__qualname__, "ModelCheckpoint", 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        score = state_dict.get("best_model_score")
        if not isinstance(score, Tensor) or score.numel() != 1 or self.dirpath is None:
            return  # nothing was validated yet
        best = os.path.join(self.dirpath, f"best{self.FILE_EXTENSION}")
        self.best_model_score = self.kth_value = score.reshape(())
        self.best_model_path = self.kth_best_model_path = best
        self.best_k_models = {best: self.best_model_score}


def forget_foreign_paths(callbacks: Sequence[Callback]) -> None:
    """Resets callbacks whose restored state names files outside of their own folder.

    They would delete these files.

    Arguments:
        callbacks: Callbacks other than :class:`BestCheckpoint`.
    """
    for callback in callbacks:
        if not isinstance(callback, ModelCheckpoint) or callback.dirpath is None:
            continue
        single = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = [*callback.best_k_models, *(getattr(callback, name) for name in single)]
        foreign = [path for path in paths if path and not _inside(path, callback.dirpath)]
        if foreign:
            callback.best_k_models = {}
            for name in single:
                setattr(callback, name, "")
            print(
                f"warning: a ModelCheckpoint's state names {foreign[0]}, which is not in"
                f" {callback.dirpath}: it starts anew",
                file=sys.stderr,
            )


def _inside(path: object, folder: str | os.PathLike[str]) -> bool:
    if not isinstance(path, str) or "://" in path:
        return False
    own, found = os.path.realpath(folder), os.path.realpath(path)
    return ".." not in Path(path).parts and Path(own) in Path(found).parents
