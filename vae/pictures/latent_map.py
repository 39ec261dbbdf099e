"""Where images are in latent space: what two variables decode to, or codes projected to two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from vae.evaluation.encoding import features
from vae.models.vae import VAE
from vae.pictures.codes import is_discrete
from vae.pictures.mosaic import means, mosaic, show
from vae.pictures.style import COLUMN, GREY, TEXT, class_colors, new_figure, styled
from vae.pictures.variables import factors, values_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Manifold",
    "Map",
    "Method",
    "codes_of",
    "draw_manifold",
    "draw_map",
    "has_two_variables",
    "manifold",
    "project",
]

Method = Literal["manifold", "scatter", "pca", "tsne"]

NAMES = {"pca": "PCA", "tsne": "t-SNE", "scatter": "codes"}


MOST_NAMED = 30
"""Classes that are named: the numbers of more would hide the codes."""


class Manifold(NamedTuple):
    """What two latent variables decode to.

    Attributes:
        images: ``(V, W, *image)``: the second variable changes downwards, the first to the right.
        labels: The values of each variable, in words.
        what: What the values are.
    """

    images: Tensor
    labels: list[str]
    what: str


class Map(NamedTuple):
    """Codes in two dimensions.

    Attributes:
        points: ``(N, 2)``.
        axes: The names of both dimensions; empty where they mean nothing.
        method: How the codes came there.
    """

    points: Tensor
    axes: tuple[str, str]
    method: str


def has_two_variables(vae: VAE) -> bool:
    """Whether the latents are two variables, so that a grid shows them all."""
    prior = vae.hard.prior()
    base = factors(prior)
    return (prior.event_shape if base is None else base.batch_shape).numel() == 2


@torch.no_grad()
def manifold(vae: VAE, columns: int = 20) -> Manifold:
    """Decodes a grid of values of two variables, evenly spread over the prior's quantiles.

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), appendix A, figure 4
        | (https://arxiv.org/abs/1312.6114).

    Arguments:
        vae: The model; its hard latents are taken.
        columns: Values of a variable, where they are not categories.

    Raises:
        ValueError: If there are not two variables.
    """
    if not has_two_variables(vae):
        raise ValueError("method manifold is for two latent variables: use scatter, pca or tsne")
    vae = vae.hard
    prior = vae.prior()
    values = values_of(prior, (torch.arange(columns) + 0.5) / columns)
    first, second = values.z[:, 0], values.z[:, 1]  # (V, *event) each
    if not is_discrete(prior):
        second = second.flip(0)  # upwards, as in any plot
    V = len(first)
    z = torch.stack([first.expand(V, *first.shape), second[:, None].expand(V, *first.shape)], 2)
    images = means(vae.decode(z.reshape(V, V, *prior.event_shape)))
    return Manifold(images, values.labels, values.what)


@torch.no_grad()
def codes_of(vae: VAE, batches: Iterable[Tensor]) -> Tensor:
    """What stands for each image in a probe too (:func:`features`), ``(N, D)``, on the CPU."""
    return torch.cat([features(vae, x)[0].float().cpu() for x in batches])


def project(codes: Tensor, method: Method, seed: int = 0) -> Map:
    """Codes ``(N, D)`` in two dimensions, by scikit-learn.

    Arguments:
        codes: The codes.
        method: ``pca``; ``tsne`` (van der Maaten & Hinton, 2008), from the principal components
            on; or ``scatter``: as they are.
        seed: Of t-SNE.

    Raises:
        ValueError: If there are too few codes, or more than two dimensions to scatter.
    """
    if len(codes) < 4 and method != "scatter":
        raise ValueError(f"{NAMES[method]} of {len(codes)} codes: give at least 4")
    if method == "scatter" or codes.shape[1] == 1:
        if codes.shape[1] > 2:
            raise ValueError(f"method scatter: the codes have {codes.shape[1]} dimensions, not 2")
        points = torch.cat([codes, torch.zeros(len(codes), 1)], 1)[:, :2]
        return Map(points, ("$z_1$", "$z_2$" if codes.shape[1] == 2 else ""), "scatter")
    from sklearn.decomposition import PCA

    pca = PCA(min(50, *codes.shape), random_state=seed)
    components = pca.fit_transform(codes.double().numpy())
    if method == "pca":
        share = [f"{100 * part:.0f} %" for part in pca.explained_variance_ratio_[:2]]
        names = f"component 1 ({share[0]})", f"component 2 ({share[1]})"
        return Map(torch.from_numpy(components[:, :2]), names, method)
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(codes) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=-1)
    return Map(torch.from_numpy(tsne.fit_transform(components)), ("", ""), method)


@styled
def draw_manifold(found: Manifold) -> Figure:
    """The grid, with a few of the values at its sides."""
    V = found.images.shape[0]
    tiles = mosaic(found.images.cpu(), gap=1)
    width = TEXT if V > 12 else COLUMN
    figure = new_figure(width, 0.35 + (width - 0.4) * tiles.aspect)
    axes, x, y = figure.subplots(), tiles.columns, tiles.rows
    show(axes, tiles, {})
    labels, upwards = found.labels, found.what != "category"
    shown = sorted({round(i * (V - 1) / min(V - 1, 4)) for i in range(min(V - 1, 4) + 1)})
    axes.set_xticks([x[i] for i in shown], [labels[i] for i in shown])
    axes.set_yticks([y[V - 1 - i if upwards else i] for i in shown], [labels[i] for i in shown])
    axes.tick_params(length=2, labeltop=False, labelbottom=True)
    axes.set(xlabel=f"$z_1$: {found.what}", ylabel=f"$z_2$: {found.what}")
    return figure


@styled
def draw_map(found: Map, labels: Tensor | None = None) -> Figure:
    """The codes, coloured by class, each named in its midst and in a legend, if they are few.

    Arguments:
        found: The codes.
        labels: Classes ``(N,)``; without them, all codes have one colour.
    """
    from matplotlib.patheffects import withStroke

    figure = new_figure(COLUMN + 0.5 * (labels is not None), COLUMN)
    axes = figure.subplots()
    N, (x, y) = len(found.points), found.points.numpy().T
    dots: dict[str, Any] = {"s": max(2, min(14, 9000 / N)), "linewidths": 0, "alpha": 0.75}
    if labels is None:
        axes.scatter(x, y, color=GREY, rasterized=True, **dots)
    else:
        classes = labels.unique().tolist()
        colors = dict(zip(classes, class_colors(len(classes)), strict=True))
        order = torch.randperm(N, generator=torch.Generator().manual_seed(0))  # none lies on top
        shades = [colors[label] for label in labels[order].tolist()]
        axes.scatter(x[order], y[order], c=shades, rasterized=True, **dots)
        for label in classes if len(classes) <= MOST_NAMED else ():
            across, up = found.points[labels == label].median(0).values.tolist()
            halo = [withStroke(linewidth=2, foreground="white")]
            axes.text(across, up, str(label), ha="center", va="center", path_effects=halo)
        marks = [
            axes.scatter([], [], s=22, color=colors[label], label=str(label)) for label in classes
        ]
        if len(classes) <= MOST_NAMED:
            figure.legend(
                handles=marks,
                title="class",
                loc="outside right upper",
                ncols=1 + len(classes) // 16,
                handletextpad=0.2,
            )
    title = f"{NAMES[found.method]} of {N:,} codes" if found.method != "scatter" else ""
    axes.set_title(title)
    if not any(found.axes):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
    axes.set(xlabel=found.axes[0], ylabel=found.axes[1])
    axes.set_aspect("equal", "datalim")
    return figure
