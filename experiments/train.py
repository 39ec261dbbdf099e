"""Trains a VAE from a configuration file: ``python experiments/train.py fit --config
experiments/configs/gaussian.yaml``."""

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

from vae.cli.app import VAECLI
from vae.cli.errors import one_line_errors

if __name__ == "__main__":
    with one_line_errors():
        VAECLI()
