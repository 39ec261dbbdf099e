"""Trains a VAE from a configuration file and flags: ``vae fit --config gaussian``."""

from __future__ import annotations

from vae.cli.app import VAECLI
from vae.cli.next_step import about


def main(words: list[str], program: str) -> None:
    about(
        VAECLI().run
    )  # which reads this process's own arguments, as do the processes that Lightning starts
