"""The checkpoint from which a run is continued, and checks that it can be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from vae.models.checkpoint import has_parts
from vae.run.checkpoint import folder_of
from vae.run.continued import assert_not_past, assert_same_data, assert_same_model, assert_same_run
from vae.run.files import read_json
from vae.run.folder import new_run
from vae.run.state import find_last

__all__ = ["StartingPoint", "find_starting_point", "run_folder"]


class StartingPoint(NamedTuple):
    """Where a run is continued from.

    Attributes:
        path: The checkpoint's path.
        file: The identity of the file when it was read (:func:`file_at`).
        step: The number of optimiser steps that it has taken.
        rows: The rows of ``metrics.jsonl`` that were written before it.
        together: Of models trained at once: what it holds of their runs, and of what they and
            their data are made.
    """

    path: Path
    file: tuple[int, int]
    step: int
    rows: int | None
    together: tuple[list[dict[str, Any]], list[dict[str, Any]]] | None = None

    def has_changed(self) -> bool:
        """Whether another process has written the file since it was read."""
        return file_at(self.path) != self.file


def file_at(path: Path) -> tuple[int, int]:
    """Identifies the file at a path: it differs once the file is replaced or written to."""
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


def find_starting_point(options: Any, together: bool = False) -> StartingPoint | None:
    """Finds the checkpoint named by ``ckpt_path``, which is set to its file; None without one.

    Arguments:
        options: The parsed options of ``fit``, or of ``train-many``.
        together: Whether it must hold many models that are trained at once. Whether they are those
            of the options is seen once they are built.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it cannot be read, or the options would make another run of it.
    """
    if not options.ckpt_path:
        return None
    given = Path(options.ckpt_path).expanduser()
    files = {p: file_at(p) for p in (given, *given.glob("checkpoints/*")) if p.exists()}
    path, contents = find_last(given)
    own, group = contents["vae"], None
    if together:
        group = _together(path, own)
    else:
        assert_same_model(path, contents, options.model)
        assert_same_data(path, contents, options.data)
    if path.parent.name == "checkpoints":
        assert_same_run(folder_of(path), options.as_dict())
    assert_not_past(path, contents, options.trainer.max_epochs, options.trainer.max_steps)
    if (record := folder_of(path) / "run.json").exists():
        read_json(record)  # it will be written again: a damaged one is refused here
    options.ckpt_path = str(path)
    file, step = files.get(path, (0, 0)), contents["global_step"]
    return StartingPoint(path, file, step, own.get("rows"), group)


def _together(
    path: Path, own: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a checkpoint holds of many models: their runs' states, and what they are made of."""
    members: Any = own.get("members")
    models: Any = own.get("together")
    if members is None and models is None:
        raise ValueError(f"{path} holds one model, not many: continue it by vae resume RUN")
    state = {"id": str, "seed": int, "rows": int, "best": float, "diverged": bool}
    sound = (
        isinstance(members, list)
        and isinstance(models, list)
        and len(members) == len(models) == len(own["generators"])
        and all(isinstance(one, dict) and has_parts(one, state) for one in members)
        and all(re.fullmatch(r"[\w.-]+", one["id"]) for one in members)
        and all(isinstance(one, dict) and {"model", "data"} <= one.keys() for one in models)
    )
    if not sound:
        raise ValueError(f"{path} does not say whose the models in it are: it is damaged")
    return members, models


def run_folder(name: str, start: StartingPoint | None) -> Path:
    """The folder to train in: that of the run that is continued, else a new one.

    Arguments:
        name: The new run's name.
        start: The checkpoint to continue from. One that lies in no run's folder starts a new run.
    """
    if start:
        folder = folder_of(start.path)
        own = any((folder / file).is_file() for file in ("run.json", "config.yaml"))
        if own and folder != start.path.parent:
            plain = folder.name and ".." not in folder.parts and not folder.is_symlink()
            return folder if plain else folder.resolve()
    return new_run(name)
