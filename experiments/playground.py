"""``vae playground`` from a clone."""

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

from vae.cli.main import run

if __name__ == "__main__":
    run("playground")
