"""Trains a VAE from a configuration file and flags: ``vae fit --config gaussian``."""

from __future__ import annotations

from vae.cli.app import VAECLI


def main(words: list[str], program: str) -> None:
    VAECLI()  # which reads this process's own arguments, as do the processes that Lightning starts
