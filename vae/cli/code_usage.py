"""Draws how often each category of each discrete variable is used, with its perplexity."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.picture import at_least, sitter
from vae.cli.reading import checkpoint_to_read


def code_usage(
    checkpoint: str | None = None,
    output: str | None = None,
    count: int | None = None,
    split: Literal["train", "val", "test"] | None = None,
    data: Any = None,
    device: str = "auto",
) -> Path:
    """Draws the aggregate posterior of one-hot or binary variables.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The picture to write, a .png or a .pdf; by default images/code-usage.png in the
            run's folder.
        count: Only the first so many images.
        split: The images; by default the test images.
        data: Other data than those trained on: a data module, as --data mine.MyData.
        device: cpu, cuda, or auto.
    """
    at_least(1, count=count)
    path = checkpoint_to_read(checkpoint, "discrete")  # before the imports, which take a second
    with uncollected():
        from vae.distributions.operations import describe
        from vae.evaluation import usage
        from vae.pictures.code_usage import draw

    found = sitter(path, "code-usage", output, split, data, device)
    shares = usage.code_usage(found.vae, found.batches(count))
    if shares is None:
        raise NotImplementedError(
            f"{describe(found.vae.prior())} has no categories to count: code-usage is for one-hot"
            " and binary latents"
        )
    each = usage.perplexity(shares)
    words = f"{found.split} images, perplexity {each.min().item():.2f} to {each.max().item():.2f}"
    return found.write(draw(shares), "code-usage", words)


def main(words: list[str], program: str) -> None:
    code_usage(**data_parser(code_usage, program, words).arguments(words))
