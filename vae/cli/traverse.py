"""Draws what each latent variable does: one at a time, sorted by KL, from the code of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.picture import at_least, sitter
from vae.cli.reading import checkpoint_to_read


def traverse(
    checkpoint: str | None = None,
    output: str | None = None,
    count: int = 10,
    image: int = 0,
    columns: int = 11,
    kl_images: int = 1000,
    seed: int = 0,
    split: Literal["train", "val", "test"] | None = None,
    data: Any = None,
    device: str = "auto",
) -> Path:
    """Changes one variable of an image's code at a time, through the quantiles of the prior.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The picture to write, a .png or a .pdf; by default images/traverse.png in the
            run's folder.
        count: The number of variables, those with the highest KL; where it is no sum over variables,
            those whose mean under q(z|x) varies most.
        image: The number of the image, from 0 on.
        columns: Values of a variable; of categories, at most.
        kl_images: The number of images over which the KL is averaged.
        seed: Of quantiles that the prior does not know, and of a KL without closed form.
        split: The images; by default the test images.
        data: Other data than those trained on: a data module, as --data mine.MyData.
        device: cpu, cuda, or auto.
    """
    at_least(1, count=count, kl_images=kl_images)
    at_least(0, image=image)
    if not 2 <= columns <= 30:
        raise ValueError(f"columns must be 2 to 30, got {columns}")
    path = checkpoint_to_read(checkpoint)  # before the imports, which take a second
    with uncollected():
        from vae.pictures.kl import mean_variance, variable_kl
        from vae.pictures.traverse import draw
        from vae.pictures.traverse import traverse as numbers

    found = sitter(path, "traverse", output, split, data, device, seed)
    x = found.first(image + 1)
    if len(x) <= image:
        raise ValueError(f"image: there are {len(x)} {found.split} images, numbered from 0 on")
    kl, name = variable_kl(found.vae, found.batches(kl_images)), "KL [nats]"
    if kl is None:  # of dependent variables
        score, name = mean_variance(found.vae, found.batches(kl_images)), "Var E[z]"
    else:
        score = kl.mean
    count = min(count, len(score))
    found.assert_memory(count * columns)
    result = numbers(found.vae, x[image], score, count, columns)
    words = f"{count} of {len(score)} variables at {found.split} image {image}"
    return found.write(draw(result, name), "traverse", words)


def main(words: list[str], program: str) -> None:
    traverse(**data_parser(traverse, program, words).arguments(words))
