"""How much of the rate each latent variable carries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from vae.devices import double
from vae.evaluation.collapse import COLLAPSED, is_collapsed
from vae.evaluation.units import activity, unit_kl, unit_means
from vae.models.vae import VAE
from vae.pictures.style import COLUMN, GREY, LINES, TEXT, new_figure, number_variables, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["NO_SUM", "VariableKL", "draw", "mean_variance", "variable_kl"]


NO_SUM = (
    "posterior and prior are not both of independent variables: their KL is no sum over variables"
)
"""Why a model has no KL of each variable."""


class VariableKL(NamedTuple):
    """The KL of each latent variable.

    Attributes:
        mean: Over images, in nats, ``(L,)``.
        se: Standard errors over images, ``(L,)``; None of one image.
        images: Their number.
        exact: Whether each is in closed form, or estimated from samples of each image.
    """

    mean: Tensor
    se: Tensor | None
    images: int
    exact: bool


@torch.no_grad()
def variable_kl(vae: VAE, batches: Iterable[Tensor]) -> VariableKL | None:
    """KL(q(z_l|x) || p(z_l)) in nats of each variable l, a mean over images.

    Arguments:
        vae: The model; its hard latents are taken.
        batches: Images ``(B, *image)``.

    Returns:
        The KL; None where posterior and prior are not both of independent variables.
    """
    vae, parts, estimated = vae.hard, [], False
    for x in batches:
        part = unit_kl(vae, vae.posterior(x))
        if part is None:
            return None
        parts.append(double(part.value).cpu())
        estimated = part.monte_carlo
    kl = torch.cat(parts)
    se = kl.std(0) / len(kl) ** 0.5 if len(kl) > 1 else None
    return VariableKL(kl.mean(0), se, len(kl), not estimated)


@torch.no_grad()
def mean_variance(vae: VAE, batches: Iterable[Tensor]) -> Tensor:
    """The variance over images of the mean of q(z|x), of each variable, ``(L,)``.

    Arguments:
        vae: The model; its hard latents are taken.
        batches: Images ``(B, *image)``.

    Raises:
        ValueError: If there is one image only.
    """
    found = [unit_means(vae.hard.posterior(x)) for x in batches]
    mean = torch.cat([part.value for part in found])
    if len(mean) < 2:
        raise ValueError("a variance over images takes two of them: give more --kl_images")
    errors = [part.error for part in found if part.error is not None]
    return activity(mean, torch.cat(errors) if errors else None).cpu()


@styled
def draw(found: VariableKL, title: str = "") -> Figure:
    """Bars from the highest to the lowest, with the number of active variables and the sum."""
    order = found.mean.argsort(descending=True).tolist()
    values = [found.mean[i].item() for i in order]
    active, L = sum(not is_collapsed(value) for value in values), len(order)
    figure = new_figure(COLUMN if L <= 24 else TEXT, 2.1)
    axes = figure.subplots()
    colors = ["0.75" if is_collapsed(value) else LINES[0] for value in values]
    axes.bar(range(L), values, color=colors, width=0.8)
    if found.se is not None and L <= 60:
        errors = [found.se[i].item() for i in order]
        axes.errorbar(range(L), values, errors, fmt="none", ecolor="0.15", elinewidth=0.8)
    if 0 < active < L:
        axes.axvline(active - 0.5, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)))
        axes.annotate(
            f"KL < {COLLAPSED:g}",
            (active - 0.5, 0.55),
            (4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=7,
            color=GREY,
        )
    about = "" if found.exact else "≈ "
    axes.text(
        0.98,
        0.97,
        f"KL ≥ {COLLAPSED:g} nats in {active} of {L}\ntotal {about}{sum(values):.2f} nats",
        ha="right",
        va="top",
        fontsize=7,
        transform=axes.transAxes,
    )
    axes.set_xlim(-0.7, L - 0.3)
    number_variables(axes, order)
    axes.set(xlabel="latent variable, sorted", ylabel="KL(q || p) [nats]")
    if title:
        axes.set_title(title)
    return figure
