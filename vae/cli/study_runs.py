"""The runs of a study: each is an ordinary ``vae fit`` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from vae.run.state import can_go_on

__all__ = ["STOPPED", "find", "run", "stop"]


TRAIN = [sys.executable, "-m", "vae", "fit"]
"""The command that trains one run."""

RUNNING: set[subprocess.Popen[bytes]] = set()
"""The processes that train."""

STOPPED = threading.Event()
"""Set when the study was told to end."""


def find(folder: Path, label: str, seed: int) -> Path | None:
    """The newest folder of a variant's run with this seed."""
    name = re.compile(rf"\d+-\d+-{re.escape(label)}-seed{seed}-[0-9a-z]+")
    found = [p for p in folder.glob("*") if name.fullmatch(p.name) and p.is_dir()]
    return max(found, default=None)


def run(
    folder: Path, config: Path, label: str, seed: int, flags: list[str], jobs: int
) -> Path | None:
    """One run, by ``vae fit`` in a process of its own; None if it did not end."""
    before = find(folder, label, seed)
    if before and (before / "results.json").exists():
        return before
    flags = [f"{word}{seed}" if word == f"{label}-seed" else word for word in flags]
    command = [*TRAIN, "--config", str(config), *flags]
    command += ["--seed_everything", str(seed)]
    if before and can_go_on(before):
        command += ["--ckpt_path", str(before)]
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    # A vae.py in the current folder is not this package.
    environment = os.environ | {"VAE_RUNS_DIR": str(folder), "PYTHONSAFEPATH": "1"}
    if jobs > 1:
        environment |= {"OMP_NUM_THREADS": str(threads)}
    if STOPPED.is_set():
        return None
    print(f"{label}, seed {seed}{' (continued)' if '--ckpt_path' in command else ''}", flush=True)
    with (folder / f"{label}-seed{seed}.log").open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    RUNNING.add(process)
    if STOPPED.is_set():  # meanwhile
        process.terminate()
    code = process.wait()
    RUNNING.discard(process)
    after = find(folder, label, seed)
    return after if code == 0 and after and (after / "results.json").exists() else None


def stop() -> None:
    """Ends the runs that are being trained, which save; no other is begun."""
    STOPPED.set()
    for process in list(RUNNING):
        process.terminate()  # of one that has Ctrl-C already, nothing changes
