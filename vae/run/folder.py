"""A run's folder and its id.

A run owns one folder, ``runs/<id>``: ``config.yaml``, ``run.json`` (id, command, git revision,
versions, seed), ``metrics.jsonl``, ``checkpoints/best.ckpt`` and ``last.ckpt``, ``images/``,
``results.json`` and ``wandb/``. The id is made before anything else, and W&B uses it too.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from pathlib import Path

from vae.run.files import assert_writable, read_json

__all__ = [
    "assert_name",
    "assert_runs_can_be_written",
    "checked_id",
    "new_run",
    "run_id",
    "runs_dir",
]


def runs_dir() -> Path:
    """Where runs are: ``VAE_RUNS_DIR`` if it is set, else ``runs`` in the current folder."""
    return Path(os.environ.get("VAE_RUNS_DIR", "").strip() or "runs").expanduser()


ROOM = 2**20
"""Bytes that a disk must have left for a run to begin: on a full one, W&B complains for ever."""


def assert_name(name: str) -> None:
    """Refuses a name that cannot be a part of a folder's and a W&B run's name everywhere.

    Raises:
        ValueError: If it is not of plain letters, digits and few signs, or too long.
    """
    if not re.fullmatch(r"[\w.-]{1,80}", name, re.ASCII):
        raise ValueError(
            f"name {name[:100]!r}: unaccented letters, digits, '.', '_' and '-' only, please, 80"
            " at most"
        )


def new_run(name: str) -> Path:
    """The folder of a new run, which does not exist yet; its name is the run's id.

    Raises:
        ValueError: If the name cannot be part of a folder's and a W&B run's name, or no folder can
            be made.
    """
    assert_name(name)
    try:
        runs_dir().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=runs_dir()) as file:
            file.write(bytes(ROOM))
            file.flush()
    except OSError as error:
        raise _cannot(error) from None
    while True:
        run = runs_dir() / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{secrets.token_hex(4)}"
        if not run.exists():
            return run


def assert_runs_can_be_written() -> None:
    """Checks so before the data are read or downloaded; nothing is left there.

    Raises:
        ValueError: If they cannot.
    """
    try:
        assert_writable(runs_dir())
    except OSError as error:
        raise _cannot(error) from None


def _cannot(error: OSError) -> ValueError:
    return ValueError(
        f"cannot write runs to {runs_dir()} ({error.strerror}): set VAE_RUNS_DIR to a folder for them"
    )


def run_id(run: Path) -> str:
    """The id of a run: the one in its ``run.json``, or else the folder's name.

    So the folder can be moved, renamed, or reached by a link.

    Raises:
        ValueError: If it is no id.
    """
    record = read_json(run / "run.json") if (run / "run.json").is_file() else {}
    found = record.get("id", run.resolve().name) if isinstance(record, dict) else None
    return checked_id(found, run / "run.json")


def checked_id(found: object, path: Path) -> str:
    """The id, if it can be part of W&B's file names.

    Raises:
        ValueError: If it cannot.
    """
    if not isinstance(found, str) or not re.fullmatch(r"[\w.-]{1,128}", found):
        raise ValueError(f"{path} names no run (its id is {found!r}): it was damaged or edited")
    return found
