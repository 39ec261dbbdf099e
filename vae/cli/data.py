"""Finds MNIST, or downloads it, and verifies its checksums."""

from __future__ import annotations

from vae.cli.parser import ScriptParser
from vae.data.mnist_files import prepare_mnist


def main(words: list[str], program: str) -> None:
    ScriptParser(prog=program, description=__doc__).parse_args(words)
    print(prepare_mnist())
