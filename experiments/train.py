"""Trains a VAE from a configuration file: ``python experiments/train.py fit --config
experiments/configs/gaussian.yaml``."""

from vae.cli import VAECLI, one_line_errors

if __name__ == "__main__":
    with one_line_errors():
        VAECLI()
