"""``make train``: trains the Gaussian VAE, then writes reconstructions and samples.

On MNIST; where it is neither on disk nor to be downloaded, on the digits inside scikit-learn.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from vae.cli.app import VAECLI
from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.data.images.mnist import MNIST
from vae.run.finding import find_runs
from vae.run.lock import record_of

HERE = Path(__file__).parent
LAST = "sample.py"
"""The script whose last line says what to look at next."""


def run(script: str, *arguments: str) -> int:
    """Runs a script; returns its process id."""
    command = [sys.executable, str(HERE / script), *arguments]
    hints = {"VAE_HINTS": os.environ.get("VAE_HINTS", "") if script == LAST else "0"}
    print("+", shlex.join(command), flush=True)
    process, code = subprocess.Popen(command, env=os.environ | hints), None
    while code is None:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the script has it too, and saves: it is waited for
            continue
        except SystemExit:  # of SIGTERM, which it may not have
            process.terminate()
            process.wait()
            raise
    if code:
        raise SystemExit(code)
    return process.pid


def run_of(pid: int) -> str:
    """The folder of the run that a process made, whatever others were started meanwhile."""
    for path in reversed(find_runs()):
        if record_of(path / "run.json").get("pid") == pid:
            return str(path)
    raise SystemExit(0)  # a rehearsal leaves nothing to draw from


class Understood(Exception):
    """The flags are train.py's."""


class Check(VAECLI):
    """train.py, up to where it would begin to build."""

    def before_instantiate_classes(self) -> None:
        raise Understood


def quickstart(arguments: list[str]) -> None:
    """Trains, reconstructs and samples.

    Arguments:
        arguments: Further flags of train.py, looked at before anything is downloaded.
    """
    sys.argv[1:] = ["fit", "--config", str(HERE / "configs" / "gaussian.yaml"), *arguments]
    try:
        Check()
    except Understood:
        pass
    config = "gaussian.yaml"
    try:
        MNIST().prepare_data()
    except FileNotFoundError as error:
        config = "digits.yaml"
        stars = "*" * 20
        print(
            f"{stars} NO MNIST: training on scikit-learn's 8 x 8 digits instead {stars}\n({error})"
        )
    pid = run("train.py", "fit", "--config", str(HERE / "configs" / config), *arguments)
    own = run_of(pid)
    run("reconstruct.py", own)
    run("sample.py", own)


if __name__ == "__main__":
    with one_line_errors():
        if {"-h", "--help"} & set(sys.argv[1:]):
            usage = "quickstart.py [flags of train.py fit]"
            ScriptParser(description=__doc__, usage=usage).print_help()
        else:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
            quickstart(sys.argv[1:])
