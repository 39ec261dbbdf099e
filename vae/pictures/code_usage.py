"""How often each category of each discrete variable is used: the aggregate posterior."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from vae.distributions.operations import describe
from vae.evaluation import usage
from vae.models.vae import VAE
from vae.pictures.style import COLUMN, GREY, HEAT, LINES, TEXT, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Usage", "code_usage", "draw"]


class Usage(NamedTuple):
    r"""The aggregate posterior of each variable.

    Attributes:
        probs: :math:`q(z_l = c) = \mathrm{E}_x q(z_l = c|x)`, ``(L, C)``; each row sums to 1.
        perplexity: exp of its entropy, ``(L,)``: 1 if one category is used, C if all are alike.
        images: The number of images.
    """

    probs: Tensor
    perplexity: Tensor
    images: int


@torch.no_grad()
def code_usage(vae: VAE, batches: Iterable[Tensor]) -> Usage:
    """The aggregate posterior of every variable, over images.

    Arguments:
        vae: The model; its hard latents are taken.
        batches: Images ``(B, *image)``.

    Raises:
        NotImplementedError: If the latents are no independent variables of finitely many
            categories.
    """
    sizes = []

    def counted() -> Iterator[Tensor]:
        for x in batches:
            sizes.append(len(x))
            yield x

    probs = usage.code_usage(vae, counted())
    if probs is None:
        raise NotImplementedError(
            f"{describe(vae.hard.prior())} has no categories to count: code-usage is for one-hot and"
            " binary latents"
        )
    probs = probs.cpu()
    return Usage(probs, usage.perplexity(probs), sum(sizes))


@styled
def draw(found: Usage) -> Figure:
    """Variables side by side, the one of the highest perplexity first, categories below each other.

    The perplexity stands above each variable, with the number of categories as its ceiling.
    """
    L, C = found.probs.shape
    order = found.perplexity.argsort(descending=True, stable=True)
    width = COLUMN if L <= 24 else TEXT
    below = max(0.9, min(4.0, C * (width - 0.8) / max(L, 8)))
    figure = new_figure(width, 1.3 + below)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[0.7, below])
    top.bar(range(L), found.perplexity[order].tolist(), color=LINES[0], width=0.8)
    top.axhline(C, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)))
    top.set(ylabel="perplexity", ylim=(0, 1.12 * C), yticks=[1, C])
    image = bottom.imshow(
        found.probs[order].T.numpy(), cmap=HEAT, vmin=0, vmax=None, aspect="auto"
    )
    shown = range(L) if L <= 24 else range(0, L, -(-L // 40))
    bottom.set_xticks(list(shown), [str(int(order[i]) + 1) for i in shown])
    every = -(-C // 16)
    bottom.set_yticks(range(0, C, every), [str(c) for c in range(0, C, every)])
    bottom.tick_params(length=0, labelsize=6 if L > 12 else 7)
    top.tick_params("x", length=0)
    bottom.spines[:].set_visible(False)
    bottom.set(xlabel="latent variable, sorted by perplexity", ylabel="category")
    bar = figure.colorbar(image, ax=bottom, fraction=0.05, pad=0.02, aspect=18)
    bar.outline.set_visible(False)
    bar.set_label("aggregate posterior")
    return figure
