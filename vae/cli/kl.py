"""Draws the KL of each latent variable, sorted, with the number of active ones and the sum."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.picture import at_least, sitter
from vae.cli.reading import checkpoint_to_read


def kl(
    checkpoint: str | None = None,
    output: str | None = None,
    count: int | None = None,
    seed: int = 0,
    split: Literal["train", "val", "test"] | None = None,
    data: Any = None,
    device: str = "auto",
) -> Path:
    """Draws how the rate is spread over the latent variables.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The picture to write, a .png or a .pdf; by default images/kl.png in the
            run's folder.
        count: Only the first so many images.
        seed: Of a KL without closed form.
        split: The images; by default the test images.
        data: Other data than those trained on: a data module, as --data mine.MyData.
        device: cpu, cuda, or auto.
    """
    at_least(1, count=count)
    path = checkpoint_to_read(checkpoint)  # before the imports, which take a second
    with uncollected():
        from vae.pictures.kl import NO_SUM, draw, variable_kl

    found = sitter(path, "kl", output, split, data, device, seed)
    result = variable_kl(found.vae, found.batches(count))
    if result is None:
        raise NotImplementedError(NO_SUM)
    words = f"{result.images} {found.split} images, {result.mean.sum().item():.2f} nats in all"
    return found.write(draw(result), "kl", words)


def main(words: list[str], program: str) -> None:
    kl(**data_parser(kl, program, words).arguments(words))
