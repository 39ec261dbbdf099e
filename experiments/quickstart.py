"""``make train``: trains the Gaussian VAE, then writes reconstructions and samples.

On MNIST; where it is neither on disk nor to be downloaded, on the digits inside scikit-learn.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import subprocess
import sys
from pathlib import Path

from vae.checkpoints import newest_run
from vae.cli import VAECLI, ScriptParser, one_line_errors
from vae.data import find_mnist

HERE = Path(__file__).parent


def run(script: str, *arguments: str) -> None:
    command = [sys.executable, str(HERE / script), *arguments]
    print("+", " ".join(command), flush=True)
    process, code = subprocess.Popen(command), None
    while code is None:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the script has it too, and saves: it is waited for
            continue
    if code:
        raise SystemExit(code)


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
    try:
        Check(["fit", "--config", str(HERE / "configs" / "gaussian.yaml"), *arguments])
    except Understood:
        pass
    config = "gaussian.yaml"
    try:
        find_mnist()
    except FileNotFoundError as error:
        config = "digits.yaml"
        stars = "*" * 20
        print(
            f"{stars} NO MNIST: training on scikit-learn's 8 x 8 digits instead {stars}\n({error})"
        )
    run("train.py", "fit", "--config", str(HERE / "configs" / config), *arguments)
    newest = str(newest_run())
    run("reconstruct.py", newest)
    run("sample.py", newest)


if __name__ == "__main__":
    with one_line_errors():
        if {"-h", "--help"} & set(sys.argv[1:]):
            usage = "quickstart.py [flags of train.py fit]"
            ScriptParser(description=__doc__, usage=usage).print_help()
        else:
            quickstart(sys.argv[1:])
