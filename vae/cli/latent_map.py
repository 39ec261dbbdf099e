"""Draws latent space: what two variables decode to, or the codes of images by class."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.picture import at_least, sitter
from vae.cli.reading import checkpoint_to_read


def latent_map(
    checkpoint: str | None = None,
    output: str | None = None,
    method: Literal["manifold", "scatter", "pca", "tsne"] | None = None,
    count: int = 2000,
    columns: int = 20,
    seed: int = 0,
    split: Literal["train", "val", "test"] | None = None,
    data: Any = None,
    device: str = "auto",
) -> Path:
    """Maps latent space in two dimensions.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The picture to write, a .png or a .pdf; by default images/latent-map.png in the
            run's folder.
        method: manifold decodes a grid over the prior's quantiles, for two latent variables; scatter
            shows the codes of images as they are, pca and tsne projected. By default manifold where
            there are two variables, else tsne.
        count: The number of images whose codes are shown.
        columns: Columns of the grid, and its rows.
        seed: Of t-SNE, and of quantiles that the prior does not know.
        split: The images; by default the test images.
        data: Other data than those trained on: a data module, as --data mine.MyData.
        device: cpu, cuda, or auto.
    """
    at_least(1, count=count)
    if not 2 <= columns <= 60:
        raise ValueError(f"columns must be 2 to 60, got {columns}")
    path = checkpoint_to_read(checkpoint, "manifold")  # before the imports, which take a second
    with uncollected():
        from vae.pictures import latent_map as pictures

    asked = data is not None or split is not None or method not in (None, "manifold")
    found = sitter(path, "latent-map", output, split, data, device, seed, images=asked)
    if method is None:
        method = "manifold" if pictures.has_two_variables(found.vae) else "tsne"
    if method == "manifold":
        found.assert_memory(columns**2)
        grid = pictures.manifold(found.vae, columns)
        words = f"a grid of {len(grid.images)} x {len(grid.images)} codes"
        return found.write(pictures.draw_manifold(grid), "latent-map", words)
    codes = pictures.codes_of(found.vae, found.batches(count))
    labels = found.labels(len(codes))
    drawn = pictures.draw_map(pictures.project(codes, method, seed), labels)
    words = f"the codes of {len(codes)} {found.split} images ({method})"
    return found.write(drawn, "latent-map", words)


def main(words: list[str], program: str) -> None:
    latent_map(**data_parser(latent_map, program, words).arguments(words))
