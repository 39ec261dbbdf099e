"""Deletes all but the newest runs.

Only folders with a run's name and a ``run.json`` are deleted, and none in which a process works.
The runs of a study stay.
"""

from __future__ import annotations

import re
import shutil
from contextlib import closing

from vae.cli.parser import ScriptParser
from vae.run.folder import runs_dir
from vae.run.lock import RunLock

NAME = re.compile(r"\d{8}-\d{6}-[\w.-]+-[0-9a-z]{4,}")


def clean_runs(keep: int) -> list[str]:
    """Deletes all runs but the newest.

    Args:
        keep: How many of the newest runs to keep.

    Returns:
        The names of the deleted runs.
    """
    if keep < 0:
        raise ValueError(f"keep must not be negative, got {keep}")
    folder = runs_dir()
    found = [p for p in folder.glob("*") if (p / "run.json").is_file() and not p.is_symlink()]
    runs = sorted(p for p in found if NAME.fullmatch(p.name))
    gone = []
    for run in runs[: len(runs) - keep] if keep < len(runs) else []:
        lock = RunLock(run)
        try:
            lock.acquire()
        except ValueError as error:
            print(f"kept: {error}")
            continue
        with closing(lock):
            shutil.rmtree(run)
        gone.append(run.name)
        print(f"deleted {run}")
    print(f"{len(gone)} deleted, {len(runs) - len(gone)} kept in {folder}")
    return gone


def main(words: list[str], program: str) -> None:
    parser = ScriptParser(prog=program, description=__doc__)
    parser.add_function_arguments(clean_runs)
    clean_runs(**vars(parser.parse_args(words)))
