"""The checkpoint that a verb reads: which one it is, in words where that could be mistaken."""

from __future__ import annotations

from pathlib import Path

from vae.cli.next_step import about
from vae.run import shipped
from vae.run.checkpoint import find_checkpoint

__all__ = ["checkpoint_to_read"]


def checkpoint_to_read(named: str | Path | None, example: str = shipped.DEFAULT) -> Path:
    """Finds the checkpoint that a verb reads; its last line will name the same one.

    A line says so where a file or folder of the user's has the name of one that comes trained.

    Arguments:
        named: What the command line says, or None (:func:`vae.run.checkpoint.find_checkpoint`).
        example: The checkpoint of the repository to take where there is no run yet.

    Raises:
        FileNotFoundError: If it is not there.
    """
    path = find_checkpoint(named, example=example)
    if named is not None:
        about(named)
    elif (name := shipped.name_of(path)) is not None:
        about(name)
    else:
        about(path.parent.parent)  # the newest run's folder
    if named is not None and (other := shipped.path_of(str(named))) and other != path:
        print(f"{named}: yours is read, {path}; the one that comes trained is {other}")
    return path
