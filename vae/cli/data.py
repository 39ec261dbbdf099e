"""Finds a data set, or downloads it, and verifies it: by default MNIST."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vae.cli.parser import ScriptParser

__all__ = ["main"]


def main(words: list[str], program: str) -> None:
    parser = ScriptParser(prog=program, description=__doc__)
    if not words:
        from vae.data.images.mnist import MNIST  # Lightning, which takes seconds, is not needed

        print(MNIST().report())
        return
    from lightning.pytorch import LightningDataModule

    import vae
    from vae.data.load import data_modules
    from vae.data.source import images_of

    for name in data_modules():  # so that --data EMNIST is known
        getattr(vae, name)
    parser.add_argument(
        "--data",
        type=LightningDataModule | None,
        default=None,
        help="The data set: EMNIST, with its options as --data.subset letters, or a data module of"
        " your own, as mine.MyData.",
    )
    data = parser.arguments(_in_full(words, data_modules()))["data"]
    if data is None:
        raise ValueError(f"--data names a data set: {', '.join(data_modules())}")
    print(images_of(data).report())


def _in_full(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """A command line in which EMNIST is EMNISTDataModule."""
    pattern = "|".join(name.removesuffix("DataModule") for name in names)
    return [re.sub(rf"^(--data=)?({pattern})$", r"\1\2DataModule", word) for word in words]
