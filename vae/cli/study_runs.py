"""The runs of a study: each is an ordinary ``vae fit`` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from vae.run.state import can_go_on

__all__ = ["STOPPED", "find", "is_done", "run", "stop", "train"]


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


def is_done(run: Path | None) -> bool:
    """Whether a run has its results."""
    return run is not None and (run / "results.json").exists()


def run(
    folder: Path, config: Path, label: str, seed: int, flags: list[str], jobs: int
) -> Path | None:
    """One run, by ``vae fit`` in a process of its own; None if it did not end."""
    before = find(folder, label, seed)
    if is_done(before):
        return before
    words = [f"{label}-seed{seed}" if word == f"{label}-seed" else word for word in flags]
    words += ["--seed_everything", str(seed)]
    if before and can_go_on(before):
        words += ["--ckpt_path", str(before)]
    what = f"{label}, seed {seed}{' (continued)' if '--ckpt_path' in words else ''}"
    log = folder / f"{label}-seed{seed}.log"
    code = train([*TRAIN, "--config", str(config), *words], folder, what, log, jobs)
    after = find(folder, label, seed)
    return after if code == 0 and is_done(after) else None


def train(command: list[str], folder: Path, what: str, log: Path, jobs: int) -> int | None:
    """Runs a command in a process of its own; its exit code, or None if the study was to end.

    Arguments:
        command: Its words.
        folder: Where its runs go.
        what: What is trained, to be printed.
        log: Where its output goes.
        jobs: The number of such processes at a time, which share the processor's cores.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    # A vae.py in the current folder is not this package.
    environment = os.environ | {"VAE_RUNS_DIR": str(folder), "PYTHONSAFEPATH": "1"}
    if jobs > 1:
        environment |= {"OMP_NUM_THREADS": str(threads)}
    if STOPPED.is_set():
        return None
    print(what, flush=True)
    with log.open("ab") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    RUNNING.add(process)
    if STOPPED.is_set():  # meanwhile
        process.terminate()
    code = process.wait()
    RUNNING.discard(process)
    return code


def stop() -> None:
    """Ends the runs that are being trained, which save; no other is begun."""
    STOPPED.set()
    for process in list(RUNNING):
        process.terminate()  # of one that has Ctrl-C already, nothing changes
