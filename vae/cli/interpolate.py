"""Draws rows of images on the way from one test image to another through latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.picture import at_least, sitter
from vae.cli.reading import checkpoint_to_read


def interpolate(
    checkpoint: str | None = None,
    output: str | None = None,
    count: int = 6,
    steps: int = 9,
    images: list[int] | None = None,
    way: Literal["spherical", "linear", "arc", "steps", "swaps", "rounded", "mix"] | None = None,
    seed: int = 0,
    split: Literal["train", "val", "test"] | None = None,
    data: Any = None,
    device: str = "auto",
) -> Path:
    """Goes from image to image in latent space, each row between its two originals.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The picture to write, a .png or a .pdf; by default images/interpolate.png in the
            run's folder.
        count: The number of rows.
        steps: Codes a row, those of both images among them.
        images: The numbers of the images, as [0, 7, 3, 4]: two a row; by default the first ones.
        way: By default Gaussians go along an arc around the prior's mean (spherical), angles along
            the shorter arc, discrete variables change one after the other (steps), counts are
            rounded, all others go straight (linear). mix decodes mixtures of discrete codes.
        seed: Of the codes, where q(z|x) has neither mean nor mode.
        split: The images; by default the test images.
        data: Other data than those trained on: a data module, as --data mine.MyData.
        device: cpu, cuda, or auto.
    """
    at_least(1, count=count)
    if not 2 <= steps <= 30:
        raise ValueError(f"steps must be 2 to 30, got {steps}")
    if images is not None and (not images or len(images) % 2 or min(images) < 0):
        raise ValueError(f"images takes numbers from 0 on, two a row, got {images}")
    path = checkpoint_to_read(checkpoint)  # before the imports, which take a second
    with uncollected():
        from vae.pictures.interpolate import draw
        from vae.pictures.interpolate import interpolate as numbers

    found = sitter(path, "interpolate", output, split, data, device, seed)
    x = found.first(2 * count if images is None else max(images) + 1)
    if images is not None and len(x) <= max(images):
        raise ValueError(f"images: there are {len(x)} {found.split} images, numbered from 0 on")
    x = x[: len(x) // 2 * 2] if images is None else x[images]
    if not len(x):
        raise ValueError(f"one {found.split} image only: a row takes two")
    found.assert_memory(len(x) // 2 * steps)
    result = numbers(found.vae, x[::2], x[1::2], steps, way)
    words = f"{len(x) // 2} ways between {found.split} images ({result.way})"
    return found.write(draw(result), "interpolate", words)


def main(words: list[str], program: str) -> None:
    interpolate(**data_parser(interpolate, program, words).arguments(words))
