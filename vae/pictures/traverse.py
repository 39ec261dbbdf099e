"""One latent variable at a time, the others as q(z|x) of a given image has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from vae.models.vae import VAE
from vae.pictures.codes import center
from vae.pictures.mosaic import means, mosaic, show
from vae.pictures.style import LINES, TEXT, new_figure, styled
from vae.pictures.variables import factors, levels_of, values_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Traversal", "draw", "traverse"]


class Traversal(NamedTuple):
    """A row of images for each variable, the one with the highest score first.

    Attributes:
        image: Whose code it starts from, ``(*image)``.
        reconstruction: At that code, ``(*image)``.
        images: ``(R, V, *image)``: V values of each of R variables.
        variables: The variables' numbers.
        score: What they are sorted by, ``(R,)``.
        own: The column whose value the code has, for each row; -1 if none has it.
        columns: The values, in words.
        what: What the values are.
    """

    image: Tensor
    reconstruction: Tensor
    images: Tensor
    variables: list[int]
    score: Tensor
    own: list[int]
    columns: list[str]
    what: str


@torch.no_grad()
def traverse(vae: VAE, x: Tensor, score: Tensor, rows: int = 10, columns: int = 11) -> Traversal:
    """Decodes the code of an image with one variable changed, through the prior's quantiles.

    Arguments:
        vae: The model; its hard latents are taken.
        x: One image ``(*image)``.
        score: Of each variable, ``(L,)``, by which rows are sorted: its KL in nats.
        rows: At most so many variables.
        columns: At most so many values.
    """
    vae = vae.hard
    prior = vae.prior()
    code = center(vae.posterior(x[None]))[0]
    values = values_of(prior, levels_of(columns))
    if len(values.labels) > columns:  # categories: some of them, evenly spread
        kept = torch.linspace(0, len(values.labels) - 1, columns).round().long()
        z, labels = values.z[kept.to(values.z.device)], [values.labels[i] for i in kept]
        values = values._replace(z=z, labels=labels)
    order = score.argsort(descending=True, stable=True)[:rows].tolist()
    base = factors(prior)
    inner = 0 if base is None else len(base.event_shape)
    flat = code.reshape(-1, *code.shape[code.dim() - inner :])  # (L, *event of a variable)
    z = flat.expand(len(order), len(values.labels), *flat.shape).clone()
    own = []
    for row, variable in enumerate(order):
        z[row, :, variable] = values.z[:, variable]
        same = (z[row, :, variable] == flat[variable]).reshape(len(z[row]), -1).all(1)
        own.append(int(same.int().argmax()) if same.any() else -1)
    images = means(vae.decode(z.view(*z.shape[:2], *code.shape)))
    reconstruction = means(vae.decode(code[None]))[0]
    return Traversal(
        x, reconstruction, images, order, score.cpu()[order], own, values.labels, values.what
    )


def small(value: float) -> str:
    """A number of two digits after the point; what would be none is said to be less."""
    return f"{value:.2f}" if value >= 0.005 else "<0.01"


@styled
def draw(found: Traversal, score: str = "KL [nats]") -> Figure:
    """Each variable's number and score beside its row; the image and its reconstruction at the left.

    Where a row has the value of the image's code, it is framed.
    """
    from matplotlib.patches import Rectangle

    R, V = found.images.shape[:2]
    left = torch.full((R, 1, *found.image.shape), float("nan"))
    left[0, 0] = found.image.cpu()
    if R > 1:
        left[1, 0] = found.reconstruction.cpu()
    tiles = mosaic(torch.cat([left, found.images.cpu()], 1), apart=(1,))
    (H, W), gap, x, y = tiles.cell, tiles.gap, tiles.columns, tiles.rows
    width = min(TEXT, 1.3 + 0.5 * (V + 1))
    figure = new_figure(width, 0.4 + (width - 0.75) * tiles.aspect)
    axes = figure.subplots()
    show(axes, tiles, dict(zip(x, ["image", *found.columns], strict=True)))
    for place, variable, value in zip(y, found.variables, found.score.tolist(), strict=True):
        for words, across in ((f"$z_{{{variable + 1}}}$", 5), (small(value), 24)):
            at: dict[str, Any] = {"xycoords": ("axes fraction", "data")}
            at["textcoords"] = "offset points"
            axes.annotate(words, (1, place), (across, 0), va="center", fontsize=7, **at)
    axes.annotate(score, (1, 1), (5, 3), fontsize=7, **at | {"xycoords": "axes fraction"})
    if R > 1:
        said = "decoded\n(framed)" if max(found.own) >= 0 else "decoded"
        axes.text(x[0], y[1] + H / 2 + gap, said, ha="center", va="top", fontsize=7)
    for row, column in enumerate(found.own):
        if column >= 0:
            corner = (x[column + 1] - (W + gap) / 2, y[row] - (H + gap) / 2)
            frame = Rectangle(corner, W + gap, H + gap, fill=False, clip_on=False)
            frame.set(edgecolor=LINES[1], linewidth=1.2)
            axes.add_patch(frame)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(found.what, fontsize=7)
    return figure
