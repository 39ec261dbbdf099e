"""Writes a grid of images drawn from the prior. Needs a checkpoint and no data set."""

from __future__ import annotations

from pathlib import Path

from vae.cli.imports import uncollected
from vae.cli.parser import checkpoint_parser
from vae.cli.reading import checkpoint_to_read
from vae.run.checkpoint import folder_of, load
from vae.run.files import writable


def sample(
    checkpoint: str | None = None, output: str | None = None, count: int = 64, seed: int = 0
) -> Path:
    """Draws latents from the prior and shows the mean of p(x|z).

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The PNG to write; by default images/samples.png in the run's folder.
        count: The number of images.
        seed: The seed of the latent samples.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    path = checkpoint_to_read(checkpoint)  # before the imports, which take a second
    with uncollected():
        import torch

        from vae.analysis.images import image_file, sample_grid, write_image
        from vae.models.memory import assert_memory, floats_per_decoding

    default = folder_of(path) / "images" / "samples.png"
    target = writable(image_file(Path(output) if output else default))
    module, *_ = load(path)
    assert_memory(16 * floats_per_decoding(module.vae) * count, f"decoding {count} codes")
    torch.manual_seed(seed)
    write_image(sample_grid(module.vae, count), target)
    print(f"{path}\n{count} samples of the prior: {target}")
    return target


def main(words: list[str], program: str) -> None:
    sample(**vars(checkpoint_parser(sample, program).parse_args(words)))
