"""How often each category of each discrete variable is used: the aggregate posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from vae.evaluation.usage import perplexity
from vae.pictures.style import (
    COLUMN,
    GREY,
    HEAT,
    LINES,
    TEXT,
    new_figure,
    number_variables,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]


@styled
def draw(usage: Tensor) -> Figure:
    """Variables side by side, the one of the highest perplexity first, categories below each other.

    The perplexity stands above each variable, with the number of categories as its ceiling.

    Arguments:
        usage: Shares of the categories, ``(L, C)`` (:func:`vae.evaluation.usage.code_usage`).
    """
    L, C = usage.shape
    usage, each = usage.cpu(), perplexity(usage).cpu()
    order = each.argsort(descending=True, stable=True)
    width = COLUMN if L <= 24 else TEXT
    below = max(0.9, min(4.0, C * (width - 0.8) / max(L, 8)))
    figure = new_figure(width, 1.3 + below)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[0.7, below])
    top.bar(range(L), each[order].tolist(), color=LINES[0], width=0.8)
    top.axhline(C, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)))
    top.set(ylabel="perplexity", ylim=(0, 1.12 * C), yticks=[1, C])
    image = bottom.imshow(usage[order].T.numpy(), cmap=HEAT, vmin=0, vmax=None, aspect="auto")
    number_variables(bottom, order.tolist())
    every = -(-C // 16)
    bottom.set_yticks(range(0, C, every), [str(c) for c in range(0, C, every)])
    bottom.tick_params("y", length=0)
    top.tick_params("x", length=0)
    bottom.spines[:].set_visible(False)
    bottom.set(xlabel="latent variable, sorted by perplexity", ylabel="category")
    bar = figure.colorbar(image, ax=bottom, fraction=0.05, pad=0.02, aspect=18)
    bar.outline.set_visible(False)
    bar.set_label("aggregate posterior")
    return figure
