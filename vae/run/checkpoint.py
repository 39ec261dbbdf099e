"""The checkpoint that a user names, by its path, by its run's folder, or not at all."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vae.models import files
from vae.run import shipped
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
            f"no run with a checkpoint in {runs_dir()}: train one first (vae fit --config digits: in"
            " seconds), name a run's folder, or set VAE_RUNS_DIR to the folder of your runs"
        )
    return runs[-1]


def find_checkpoint(
    path: str | Path | None = None, prefer: str = "best.ckpt", example: str = shipped.DEFAULT
) -> Path:
    """Finds a checkpoint.

    Where there is no run yet, it is one that comes with the repository, and a line says so.

    Arguments:
        path: A checkpoint; a run's folder; the name of a checkpoint of the repository
            (:mod:`vae.run.shipped`); or None for the newest run.
        prefer: The checkpoint of a run to take if there are several.
        example: The checkpoint of the repository to take where there is no run yet.

    Raises:
        FileNotFoundError: If it is not there.
    """
    if path is None:
        return files.find_checkpoint(_newest_or(example), prefer)
    if not Path(path).expanduser().exists() and (found := shipped.path_of(str(path))):
        return found
    try:
        return files.find_checkpoint(path, prefer)
    except FileNotFoundError as error:
        if hidden := shipped.path_of(str(path)):  # by a folder that holds no checkpoint
            raise FileNotFoundError(f"{error}; the one that comes trained is {hidden}") from None
        near = difflib.get_close_matches(str(path), shipped.names(), n=1)
        if Path(path).exists():
            raise
        if near:
            raise FileNotFoundError(f"{error}; did you mean {near[0]}?") from None
        if str(path).isidentifier() and not shipped.names():  # a name out of the README
            raise FileNotFoundError(
                f"{error} (trained ones, by name, come with a clone of the repository)"
            ) from None
        raise


def _newest_or(example: str) -> Path:
    """The newest run; where there is none, a checkpoint of the repository, and a line says so."""
    try:
        return newest_run()
    except FileNotFoundError:
        if (found := shipped.path_of(example)) is None:
            raise
    others = ", ".join(name for name in shipped.names() if name != example)
    print(f"no run in {runs_dir()} yet: taking {example}, which comes trained (others: {others})")
    return found


def load(path: str | Path | None = None) -> Loaded:
    """Loads a trained model, with its checkpoint's contents and path.

    Arguments:
        path: What :func:`find_checkpoint` takes.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it cannot be read, names a class that is not trusted, or does not fit.
    """
    from vae.models.load import read  # imports torch; to find a checkpoint needs none

    return read(find_checkpoint(path))


def folder_of(path: Path) -> Path:
    """The folder for what is made from a checkpoint: its run's, or the one that it lies in.

    Of a checkpoint of the repository it is one among the runs (:func:`vae.run.shipped.made_from`).
    """
    if name := shipped.name_of(path):
        return shipped.made_from(name)
    if path.parent.name in ("", ".."):  # named from inside
        path = Path(os.path.abspath(path))
    return path.parent.parent if path.parent.name == "checkpoints" else path.parent
