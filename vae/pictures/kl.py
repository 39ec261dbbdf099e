"""How much of the rate each latent variable carries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from vae.devices import double
from vae.distributions.operations import describe
from vae.evaluation.collapse import COLLAPSED
from vae.evaluation.units import unit_kl
from vae.models.vae import VAE
from vae.pictures.style import COLUMN, GREY, LINES, TEXT, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VariableKL", "draw", "variable_kl"]


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
def variable_kl(vae: VAE, batches: Iterable[Tensor]) -> VariableKL:
    """KL(q(z_l|x) || p(z_l)) in nats of each variable l, a mean over images.

    As :func:`vae.evaluation.units.unit_kl` has it of each image.

    Arguments:
        vae: The model; its hard latents are taken.
        batches: Images ``(B, *image)``.

    Raises:
        NotImplementedError: If posterior or prior is not made of independent variables.
    """
    vae, parts, exact = vae.hard, [], True
    for x in batches:
        q = vae.posterior(x)
        found = unit_kl(vae, q)
        if found is None:
            raise NotImplementedError(
                f"{describe(q)} and the prior {describe(vae.prior())} are not both of independent"
                " variables: their KL is no sum over variables"
            )
        exact = not found.monte_carlo
        parts.append(double(found.value).cpu())
    kl = torch.cat(parts)
    se = kl.std(0) / len(kl) ** 0.5 if len(kl) > 1 else None
    return VariableKL(kl.mean(0), se, len(kl), exact)


@styled
def draw(found: VariableKL, title: str = "") -> Figure:
    """Bars from the highest to the lowest, with the number of active variables and the sum."""
    order = found.mean.argsort(descending=True).tolist()
    values = [found.mean[i].item() for i in order]
    active, L = sum(value >= COLLAPSED for value in values), len(order)
    figure = new_figure(COLUMN if L <= 24 else TEXT, 2.1)
    axes = figure.subplots()
    colors = [LINES[0] if value >= COLLAPSED else "0.75" for value in values]
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
        f"{active} of {L} active (KL ≥ {COLLAPSED:g} nats)\ntotal {about}{sum(values):.2f} nats",
        ha="right",
        va="top",
        fontsize=7,
        transform=axes.transAxes,
    )
    axes.set_xlim(-0.7, L - 0.3)
    shown = range(L) if L <= 24 else range(0, L, -(-L // 40))
    axes.set_xticks(list(shown), [str(order[i] + 1) for i in shown])
    axes.tick_params("x", length=0 if L <= 24 else 2, labelsize=6 if L > 12 else 7)
    axes.set(xlabel="latent variable, sorted", ylabel="KL(q || p) [nats]")
    if title:
        axes.set_title(title)
    return figure
