"""``vae resume`` from a clone."""

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import sys
from pathlib import Path

from vae.cli.main import run

if __name__ == "__main__":
    # Lightning starts further processes as what the first one was started with.
    sys.argv[0] = str(Path(__file__).with_name("train.py"))
    run("resume", "resume.py")
