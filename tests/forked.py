"""Scripts in forked processes: a server has everything imported, so that a start costs a fork and
not five seconds of imports; all else is as in an interpreter of their own."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).resolve().parent.parent
NO_MNIST = {"VAE_DATA_DIR": "/nowhere"}
PRELOADED = ["vae.cli.app", "vae.cli.evaluate", "vae.cli.gradients", "vae.cli.train_many"]


class Done(NamedTuple):
    """How a script ended, and what it printed."""

    code: int
    out: str
    err: str


def _child(
    words: list[str], environment: Mapping[str, str], folder: str, files: Sequence[Path | None]
) -> None:
    os.setsid()  # a process group of its own, as a supervisor makes
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, file in zip((1, 2), files, strict=True):
        if file is not None:
            descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.dup2(descriptor, stream)
            os.close(descriptor)
    torch.set_num_threads(1)
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            path = ROOT / "experiments" / words[0]
            sys.path.insert(0, str(path.parent))
            sys.argv = [str(path), *words[1:]]
            code = compile(path.read_text(), str(path), "exec")
            exec(code, {"__name__": "__main__", "__file__": str(path)})
    finally:
        atexit._run_exitfuncs()  # multiprocessing would leave them out
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def start(
    words: list[str],
    files: Sequence[Path | None],
    folder: str | Path = ROOT,
    environment: Mapping[str, str] = os.environ,
) -> Any:
    """Starts a script; a ``multiprocessing.Process``.

    Arguments:
        words: What would be typed after ``python``; a script of ``experiments`` by its name alone.
        files: Where what it prints is appended: standard output, standard error.
        folder: Its current folder.
        environment: All of its variables.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    variables = dict(environment)
    variables.pop("WANDB_SERVICE", None)  # that of a test before, which outlives a killed child
    process = context.Process(target=_child, args=(words, variables, str(folder), files))
    process.start()
    return process


def run(
    *words: object, output: Path, folder: Path = ROOT, timeout: float = 300, **environment: str
) -> Done:
    """Runs a script to its end, without MNIST unless ``VAE_DATA_DIR`` is given.

    Arguments:
        words: As in :func:`start`.
        output: A folder for what it prints.
        folder: Its current folder.
        timeout: Seconds until it is killed.
        environment: Variables beside those of this process.
    """
    files = [output / "stdout", output / "stderr"]
    for file in files:
        file.write_text("")
    process = start(list(map(str, words)), files, folder, os.environ | NO_MNIST | environment)
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
    return Done(process.exitcode, *(file.read_text() for file in files))


def together(*words: object, processes: int, log: Path, **environment: str) -> list[Any]:
    """Starts a script as ``torchrun`` does, in several processes of this machine.

    Arguments:
        words: As in :func:`start`.
        processes: How many.
        log: Where what all print is appended.
        environment: Variables beside those of this process.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} | environment
    common |= {"TORCHELASTIC_RUN_ID": "x", "GROUP_RANK": "0"}
    common |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(processes))
    return [
        start(list(map(str, words)), [log, log], environment=common | ranks)
        for ranks in (dict.fromkeys(("RANK", "LOCAL_RANK"), str(n)) for n in range(processes))
    ]


class Popen:
    """``subprocess.Popen`` for whoever starts our scripts by it: where it is put in its place, they
    are forked. Of its arguments it takes what they give."""

    def __init__(
        self, command: list[str], env: Any = None, stdout: Any = None, stderr: Any = None
    ) -> None:
        if command[0] != sys.executable:
            raise NotImplementedError(f"no Python to fork: {command}")
        files = [None if file is None else Path(file.name) for file in (stdout, stderr)]
        self._process = start(command[1:], files, Path.cwd(), env or os.environ)
        self.args, self.pid = command, self._process.pid
        self.terminate, self.kill = self._process.terminate, self._process.kill

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode
