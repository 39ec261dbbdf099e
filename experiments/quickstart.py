"""``make train``: trains the Gaussian VAE, then writes reconstructions and samples.

On MNIST; where it is neither on disk nor to be downloaded, on the digits inside scikit-learn.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vae.checkpoints import newest_run
from vae.cli import one_line_errors
from vae.data import find_mnist

HERE = Path(__file__).parent


def run(script: str, *arguments: str) -> None:
    command = [sys.executable, str(HERE / script), *arguments]
    print("+", " ".join(command), flush=True)
    code = subprocess.run(command).returncode
    if code:
        raise SystemExit(code)


def quickstart(arguments: list[str]) -> None:
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
        quickstart(sys.argv[1:])
