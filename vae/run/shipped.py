"""Trained checkpoints that come with a clone of the repository, in ``experiments/checkpoints``.

They hold weights, not the state of a run: a model can be drawn, evaluated and taken as it is, but
not trained on by ``vae resume``. What is made of one goes to the folder of runs.
"""

from __future__ import annotations

import os
from pathlib import Path

from vae.run.folder import runs_dir

__all__ = ["DEFAULT", "assert_not_shipped", "made_from", "name_of", "named", "names", "path_of"]


PROJECT = Path(__file__).resolve().parents[2]
"""The clone of the project that this file is in, or the folder of installed packages."""

DEFAULT = "gaussian"
"""The one to take where there is no run yet."""


def _folder() -> Path:
    return PROJECT / "experiments" / "checkpoints"


def names() -> list[str]:
    """The names of all there are, :data:`DEFAULT` first; none outside a clone."""
    found = {path.stem for path in _folder().glob("*.ckpt")}
    return sorted(found, key=lambda name: (name != DEFAULT, name))


def path_of(name: str) -> Path | None:
    """The checkpoint of a name, by a path that is relative where it can be; None if there is none."""
    if name not in names():
        return None
    path = _folder() / f"{name}.ckpt"
    inside = path.is_relative_to(Path.cwd())
    return Path(os.path.relpath(path)) if inside else path


def name_of(path: Path) -> str | None:
    """The name of a checkpoint, by its path; None if it is another's."""
    path = path.resolve()
    return path.stem if path.parent == _folder() and path.suffix == ".ckpt" else None


def named(given: str | Path) -> str | None:
    """The name of the checkpoint of the repository that was named; None if it is another's.

    Arguments:
        given: A path or, where nothing of the user's has it, a name.
    """
    given = Path(given)
    return str(given) if path_of(str(given)) and not given.exists() else name_of(given)


def assert_not_shipped(given: str | Path) -> None:
    """Refuses to train on from a checkpoint that comes with the repository.

    Arguments:
        given: What :func:`named` takes.

    Raises:
        ValueError: If it is one.
    """
    if name := named(given):
        raise ValueError(
            f"{given} comes trained, as weights alone, without the state of a run: there are no"
            f" steps to continue or repeat; to train one like it: vae fit --config {name}"
        )


def made_from(name: str) -> Path:
    """The folder for what is made of a checkpoint: none of its own, which git keeps clean."""
    return runs_dir() / "shipped" / name
