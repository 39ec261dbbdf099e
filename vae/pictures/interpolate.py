"""The way from one image to another through latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from vae.distributions.operations import describe
from vae.models.vae import VAE
from vae.pictures.codes import center, ways
from vae.pictures.mosaic import means, mosaic, show
from vae.pictures.style import TEXT, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Interpolation", "draw", "interpolate"]

WAYS = {
    "spherical": "an arc around the prior's mean",
    "linear": "a straight way",
    "arc": "the shorter arc",
    "steps": "one variable after the other",
    "swaps": "one item after the other swapped",
    "rounded": "a straight way, rounded",
    "mix": "mixtures of two codes",
}
"""What each way is, in words."""


class Interpolation(NamedTuple):
    """Rows of images between two of the data.

    Attributes:
        starts: The images that rows begin with, ``(R, *image)``.
        ends: Those that they end with, ``(R, *image)``.
        codes: The latents between, ``(R, T, *event)``; the first and the last are those that stand
            for q(z|x) of the two images.
        between: What is decoded from them, ``(R, T, *image)``.
        way: The name of the way.
    """

    starts: Tensor
    ends: Tensor
    codes: Tensor
    between: Tensor
    way: str


@torch.no_grad()
def interpolate(
    vae: VAE, starts: Tensor, ends: Tensor, steps: int = 9, way: str | None = None
) -> Interpolation:
    """Decodes codes on the way between those of pairs of images.

    Arguments:
        vae: The model; its hard latents are taken.
        starts: Images ``(R, *image)``.
        ends: As many others.
        steps: Codes a row, both ends among them.
        way: One of :func:`vae.pictures.codes.ways`; by default the family's own.

    Raises:
        ValueError: If the family has no such way.
    """
    vae = vae.hard
    q = vae.posterior(torch.cat([starts, ends]))
    found = ways(q, vae.prior())
    way = next(iter(found)) if way is None else way
    if way not in found:
        known = ", ".join(found)
        raise ValueError(f"there is no way {way!r} through {describe(q)}: choose from {known}")
    first, last = center(q).chunk(2)
    t = torch.linspace(0, 1, steps)
    codes = torch.stack([found[way](a, b, t) for a, b in zip(first, last, strict=True)])
    between = means(vae.decode(codes.transpose(0, 1))).transpose(0, 1)  # (R, T, *image)
    return Interpolation(starts, ends, codes, between, way)


@styled
def draw(found: Interpolation) -> Figure:
    """Each row between its two originals."""
    rows = [
        torch.cat([start[None], between, end[None]])
        for start, between, end in zip(found.starts, found.between, found.ends, strict=True)
    ]
    steps = found.between.shape[1]
    tiles = mosaic(torch.stack(rows).cpu(), apart=(1, steps + 1))
    figure = new_figure(TEXT, 0.2 + TEXT * tiles.aspect)
    x = tiles.columns
    words = {x[0]: "original", x[1]: "decoded", x[-2]: "decoded", x[-1]: "original"}
    if steps > 4:
        words[(x[1] + x[-2]) / 2] = WAYS[found.way]
    show(figure.subplots(), tiles, words)
    return figure
