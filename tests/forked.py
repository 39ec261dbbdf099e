"""Scripts in forked processes: a server has everything imported, so that a start costs a fork and
not five seconds of imports; all else is as in an interpreter of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

ROOT = Path(__file__).resolve().parent.parent
NO_MNIST = {"VAE_DATA_DIR": "/nowhere"}


class Done(NamedTuple):
    """How a script ended, and what it printed."""

    code: int
    out: str
    err: str


def _child(
    script: str,
    arguments: list[str],
    environment: Mapping[str, str],
    folder: Path,
    files: list[Path],
) -> None:
    os.setsid()  # a process group of its own, as a supervisor makes
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, file in zip((1, 2), files, strict=True):
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    torch.set_num_threads(1)
    path = ROOT / "experiments" / script
    sys.path.insert(0, str(path.parent))
    sys.argv = [str(path), *arguments]
    code = compile(path.read_text(), str(path), "exec")
    try:
        exec(code, {"__name__": "__main__", "__file__": str(path)})
    finally:  # what is left is multiprocessing's own end
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def start(
    script: str,
    arguments: list[str],
    files: list[Path],
    folder: Path = ROOT,
    **environment: str,
) -> multiprocessing.Process:
    """Starts a script of ``experiments``.

    Arguments:
        script: Its file's name.
        arguments: What would be typed after it.
        files: Where what it prints is appended: standard output, standard error.
        folder: Its current folder.
        environment: Variables beside those of this process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vae.cli.app"])
    variables = {**os.environ, **environment}
    variables.pop("WANDB_SERVICE", None)  # that of a test before, which outlives a killed child
    process = context.Process(target=_child, args=(script, arguments, variables, folder, files))
    process.start()
    return process


def run(
    script: str, *arguments: object, output: Path, folder: Path = ROOT, **environment: str
) -> Done:
    """Runs a script of ``experiments`` to its end, without MNIST unless ``VAE_DATA_DIR`` is given.

    Arguments:
        script: Its file's name.
        arguments: What would be typed after it.
        output: A folder for what it prints.
        folder: Its current folder.
        environment: Variables beside those of this process.
    """
    files = [output / "stdout", output / "stderr"]
    for file in files:
        file.write_text("")
    process = start(script, list(map(str, arguments)), files, folder, **NO_MNIST | environment)
    process.join(300)
    if process.is_alive():
        process.kill()
        process.join()
    return Done(process.exitcode, *(file.read_text() for file in files))
