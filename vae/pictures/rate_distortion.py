"""The rate-distortion curve of a decoder with its prior, and where the encoder is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from vae.pictures.style import COLUMN, GREY, LINES, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Mean", "draw", "mean_curve"]


class Mean(NamedTuple):
    """A rate-distortion curve, or a point, averaged over images; in nats.

    Attributes:
        beta: Inverse temperatures ``(T,)``, rising; 1 where rate + distortion is least.
        rate: ``(T,)``.
        distortion: ``(T,)``.
        se: Of the sum of both, over images, ``(T,)``; NaN of one image.
        images: Their number.
    """

    beta: Tensor
    rate: Tensor
    distortion: Tensor
    se: Tensor
    images: int


def mean_curve(rate: Tensor, distortion: Tensor, beta: Tensor) -> Mean:
    """The mean over images of rates and distortions ``(N, T)`` at inverse temperatures ``(T,)``."""
    count = len(rate)
    total = rate + distortion
    se = total.std(0) / count**0.5 if count > 1 else torch.full_like(beta, float("nan"))
    return Mean(beta, rate.mean(0), distortion.mean(0), se, count)


@styled
def draw(curve: Mean, encoder: Mean) -> Figure:
    """The curve, which no encoder can be below, with the encoder's rate and distortion.

    Both are of the same images. Along the dashed line, the sum is what it is on the curve at beta = 1,
    where it is least.

    Arguments:
        curve: From the prior on.
        encoder: One point.
    """
    figure = new_figure(COLUMN, 2.5)
    axes = figure.subplots()
    axes.plot(curve.distortion, curve.rate, color=LINES[0], label="decoder and prior, annealed")
    at = int((curve.beta - 1).abs().argmin())
    x, y = curve.distortion[at].item(), curve.rate[at].item()
    axes.plot(x, y, "o", ms=4, color=LINES[0], label="the same at β = 1")
    place = encoder.distortion[0].item(), encoder.rate[0].item()
    said = f"encoder (sum {sum(place):.2f})"
    axes.plot(*place, "D", ms=4, color=LINES[1], label=said)
    left, right = min(x, place[0]), max(curve.distortion[0].item(), place[0])
    low, high = left - 0.08 * (right - left), right + 0.02 * (right - left)
    top = 1.25 * max(curve.rate.max().item(), place[1])
    ends = [max(low, x + y - top), min(high, x + y)]
    dashed: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (3, 2))}
    least = f"rate + distortion = {x + y:.2f}"
    axes.plot(ends, [x + y - d for d in ends], label=least, **dashed)
    axes.set(xlim=(low, high), ylim=(0, top))
    axes.set(xlabel="distortion [nats]", ylabel="rate [nats]")
    axes.set_title(f"mean of {curve.images} images", loc="left", fontsize=7)
    axes.grid(alpha=0.2, linewidth=0.5)
    axes.legend(loc="upper right")
    return figure
