"""Gradient estimators side by side: noise, bias, and what a gradient costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from vae.pictures.letters import plain
from vae.pictures.style import GREY, LINES, TEXT, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "has_bias", "ordered"]

Row = Mapping[str, Any]

UNBIASED, BIASED = LINES[0], LINES[1]

PANELS = (
    ("variance", "variance ●, bias² ×\n"),
    ("snr", "SNR\nof a gradient"),
    ("evaluations", "decodings\nan image"),
    ("milliseconds", "milliseconds\na gradient"),
)
"""What stands beside each other, and its name; all on logarithmic scales."""


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Rows of the gradient report as they are shown: unbiased ones first, then by their variance."""
    return sorted(rows, key=lambda row: (row["bias"] is not None, row["variance"]))


def has_bias(row: Row) -> bool:
    """Whether a bias is seen: bias^2 exceeds 0 by more than two standard errors."""
    return bool(row["bias_squared"] > 2 * row["bias_error"] > 0)


@styled
def draw(rows: Sequence[Row], title: str, subtitle: str) -> Figure:
    """A line for each estimator, in the order of :func:`ordered`.

    Arguments:
        rows: Of the gradient report.
        title: What was measured.
        subtitle: How.
    """
    shown = ordered(rows)
    unbiased = sum(row["bias"] is None for row in shown)
    gap = 1 if 0 < unbiased < len(shown) else 0
    places = [i + gap * (i >= unbiased) for i in range(len(shown))]
    heads, words = wrap(plain(title), 92), wrap(plain(subtitle), 120)
    head, beneath = 0.17 * len(heads), 0.13 * len(words)
    height = 0.9 + head + beneath + 0.165 * (len(shown) + gap)
    figure = new_figure(TEXT, height)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - (head + beneath + 0.08) / height))
    left: dict[str, Any] = {"x": 0.01, "va": "top", "linespacing": 1.25}
    top = 1 - 0.05 / height
    figure.text(y=top, s="\n".join(heads), fontsize=9, fontweight="bold", **left)
    figure.text(y=top - head / height, s="\n".join(words), fontsize=7, color=GREY, **left)
    panels = figure.subplots(1, len(PANELS), sharey=True, width_ratios=(2.4, 1.2, 1, 1))
    for axes, (key, name) in zip(panels, PANELS, strict=True):
        for place, row in zip(places, shown, strict=True):
            if (place - gap * (row["bias"] is not None)) % 2 == 0:
                axes.axhspan(place - 0.5, place + 0.5, color="0.965", linewidth=0, zorder=0)
        points = [(p, row[key], _color(row)) for p, row in zip(places, shown, strict=True)]
        _dots(axes, [(p, v, c) for p, v, c in points if 0 < v < math.inf])
        axes.set_xlabel(name)
        if key == "variance":
            _biases(axes, list(zip(places, shown, strict=True)))
        axes.set_xscale("log")
        _ticks(axes)
        for place, value, color in points:
            if not 0 < value < math.inf:  # off the scale, at the end where it belongs
                at = 0.0 if value <= 0 else 1.0
                axes.text(
                    *(at + (0.02 if at == 0 else -0.02), place, "0" if at == 0 else "∞"),
                    transform=axes.get_yaxis_transform(),
                    ha="left" if at == 0 else "right",
                    va="center",
                    color=color,
                    fontsize=7,
                )
    first = panels[0]
    first.set_yticks(places, [plain(str(row["label"])) for row in shown])
    for tick, row in zip(first.get_yticklabels(), shown, strict=True):
        tick.set_color(_color(row))
    first.set_ylim(max(places) + 0.7, -0.7)
    for axes in panels:
        axes.tick_params("y", length=0)
        axes.spines["left"].set_visible(False)
    _legend(figure, shown)
    return figure


def _color(row: Row) -> str:
    return UNBIASED if row["bias"] is None else BIASED


def _dots(axes: Axes, points: list[tuple[int, float, str]]) -> None:
    for place, value, color in points:
        axes.plot(value, place, "o", ms=4, color=color)


def _biases(axes: Axes, rows: list[tuple[int, Row]]) -> None:
    """bias^2 with its standard error where it is seen; else two of them, which it is below."""
    for place, row in rows:
        bias, error = row["bias_squared"], row["bias_error"]
        if has_bias(row):
            low = max(bias - error, bias / 10)
            axes.plot([low, bias + error], [place, place], color=_color(row), linewidth=0.8)
            axes.plot(bias, place, "x", ms=4.5, mew=1.2, color=_color(row))
        elif error > 0:
            axes.plot(max(bias, 0) + 2 * error, place, marker="$<$", ms=4, mew=0.2, color=GREY)


def _ticks(axes: Axes) -> None:
    """Few numbers on a logarithmic scale: powers of ten, or simple ones where there are none."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    if decades > 1.5:
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
    else:
        some = LogLocator(subs=(1, 2, 5), numticks=9) if decades > 0.7 else MaxNLocator(3)
        axes.xaxis.set_major_locator(some)
        axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", alpha=0.25, linewidth=0.5)


def _legend(figure: Figure, rows: Sequence[Row]) -> None:
    from matplotlib.lines import Line2D

    def mark(marker: str, color: str, label: str) -> Line2D:
        return Line2D([], [], marker=marker, color=color, linestyle="", ms=4.5, label=label)

    marks = []
    if any(row["bias"] is None for row in rows):
        marks.append(mark("o", UNBIASED, "unbiased"))
    if any(row["bias"] is not None for row in rows):
        marks.append(mark("o", BIASED, "biased"))
    marks.append(mark("x", GREY, "bias², ± one standard error"))
    marks.append(mark("$<$", GREY, "no bias seen: bias² is less"))
    figure.legend(handles=marks, loc="outside lower left", ncols=len(marks))
