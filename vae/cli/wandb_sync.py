"""Uploads the offline W&B files of all runs, those of studies too, the oldest first.

What was uploaded before, and runs that are being trained, are left out.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vae.cli.parser import ScriptParser
from vae.run.folder import runs_dir
from vae.run.lock import is_running


def wandb_sync(dry_run: bool = False) -> list[Path]:
    """Uploads the offline W&B files of all runs.

    Args:
        dry_run: Only list the files' folders.

    Returns:
        The folders that were, or would be, uploaded.
    """
    patterns = ("*/wandb/offline-run-*", "*/*/wandb/offline-run-*")
    paths = [path for pattern in patterns for path in sorted(runs_dir().glob(pattern))]
    found = {path.resolve(): path for path in paths}.values()  # once, whatever links there are
    unsent = [path for path in found if not list(path.glob("*.synced"))]
    waiting = {path for path in unsent if is_running(path.parent.parent)}
    todo = sorted(
        set(unsent) - waiting, key=lambda path: (path.name, path)
    )  # parts of a run in order
    for path in sorted(waiting):
        print(f"left for later, as it is being trained: {path}")
    if not todo:
        print(f"nothing to upload in {runs_dir()}")
    elif dry_run:
        print("\n".join(map(str, todo)))
    else:
        command = [sys.executable, "-m", "wandb", "sync", "--yes", "--", *map(str, todo)]
        code = subprocess.run(command).returncode
        if code:
            raise SystemExit(code)
    return todo


def main(words: list[str], program: str) -> None:
    parser = ScriptParser(prog=program, description=__doc__)
    parser.add_function_arguments(wandb_sync)
    wandb_sync(**vars(parser.parse_args(words)))
