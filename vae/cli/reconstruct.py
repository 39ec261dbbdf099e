"""Writes a grid of test images, each above its reconstruction from a hard sample of q(z|x)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.reading import checkpoint_to_read
from vae.run.checkpoint import folder_of, load
from vae.run.files import writable


def reconstruct(
    checkpoint: str | None = None,
    output: str | None = None,
    count: int = 64,
    seed: int = 0,
    data: Any = None,
) -> Path:
    """Reconstructs the first test images.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The PNG to write; by default images/reconstructions.png in the run's folder.
        count: The number of images.
        seed: The seed of the latent samples.
        data: Other data than those trained on: a data module, as --data mine.MyData.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    path = checkpoint_to_read(checkpoint)  # before the imports, which take a second
    with uncollected():
        import torch

        from vae.analysis.images import image_file, reconstruction_grid, write_image
        from vae.data.load import load_images

    default = folder_of(path) / "images" / "reconstructions.png"
    target = writable(image_file(Path(output) if output else default))
    module, contents, _ = load(path)
    data = load_images(contents, data)
    split = "test" if data.count("test") != 0 else data.held_out()
    x = next(iter(data.loader(split, batch_size=count)))
    torch.manual_seed(seed)
    write_image(reconstruction_grid(module.vae, x), target)
    print(f"{path}\n{len(x)} {split} images, originals above reconstructions: {target}")
    return target


def main(words: list[str], program: str) -> None:
    reconstruct(**data_parser(reconstruct, program, words).arguments(words))
