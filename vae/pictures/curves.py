"""Learning curves, of runs that differ only in their seed as one line with a band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from vae.pictures.letters import plain, wide
from vae.pictures.style import COLUMN, DASHES, LINES, TEXT, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curve", "X", "curve", "draw"]

X = Literal["steps", "epochs", "seconds"]

COLUMN_OF = {"steps": "step", "epochs": "epochs", "seconds": "seconds"}
"""Where a row has each."""

NATS = ("elbo", "rate", "rate_mc", "distortion", "bound")
"""Metrics in nats, by their last names."""


class Curve(NamedTuple):
    """A metric of one configuration.

    Attributes:
        x: Where it was logged, the mean over runs.
        mean: The mean over runs.
        se: Its standard error, over runs; None of one run.
        runs: Their number.
        cut: The step that every run has reached, where some have gone on; else None.
    """

    x: list[float]
    mean: list[float]
    se: list[float] | None
    runs: int
    cut: int | None = None


def curve(
    runs: Sequence[Sequence[Mapping[str, float]]], metric: str, x: X, smooth: int = 1
) -> Curve:
    """The mean of a metric over runs, at the steps at which all of them have logged it.

    Arguments:
        runs: The rows of each.
        metric: Its name.
        x: What to plot it over.
        smooth: So many values of a run, up to each, are averaged before the runs are.
    """
    logged = [{row["step"]: row for row in rows if metric in row} for rows in runs]
    values_of = [
        running_mean({s: row[metric] for s, row in own.items()}, smooth) for own in logged
    ]
    steps = sorted(set.intersection(*(set(own) for own in logged)))
    at, mean, error = [], [], []
    for step in steps:
        values = [own[step] for own in values_of]
        middle = sum(values) / len(values)
        at.append(sum(own[step][COLUMN_OF[x]] for own in logged) / len(logged))
        mean.append(middle)
        if len(values) > 1:
            variance = sum((value - middle) ** 2 for value in values) / (len(values) - 1)
            error.append(math.sqrt(variance / len(values)))
    last = [max(own, default=-1.0) for own in logged]
    cut = int(min(last)) if min(last) < max(last) else None
    return Curve(at, mean, error if len(runs) > 1 else None, len(runs), cut)


def running_mean(values: Mapping[float, float], window: int) -> dict[float, float]:
    """Each value with those before it, so many in all, averaged."""
    steps = sorted(values)
    return {
        step: math.fsum(values[s] for s in steps[max(0, i + 1 - window) : i + 1])
        / min(window, i + 1)
        for i, step in enumerate(steps)
    }


@styled
def draw(
    curves: Mapping[str, Mapping[str, Curve]],
    x: X = "steps",
    x_scale: Literal["linear", "log"] = "linear",
    y_limits: Sequence[float] | None = None,
) -> Figure:
    """A panel for each metric, a line for each configuration, named at its end.

    Arguments:
        curves: Metrics, to the labels of configurations, to curves.
        x: What they are plotted over.
        x_scale: Of that axis.
        y_limits: The lowest and the highest value to show.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    labels = list(dict.fromkeys(label for own in curves.values() for label in own))
    panels, longest = len(curves), max(map(wide, labels))
    across, beside = min(panels, 3), panels == 1 and len(labels) <= 8
    below = 0 if beside else -(-len(labels) // across_of(longest))
    width = min(TEXT, COLUMN + 0.06 * longest * (len(labels) > 1)) if panels == 1 else TEXT
    figure = new_figure(width, 2.2 * -(-panels // across) + 0.15 * below)
    grid = figure.subplots(-(-panels // across), across, squeeze=False).flatten()
    for axes in grid[panels:]:
        axes.set_visible(False)
    for axes, (metric, own) in zip(grid, curves.items(), strict=False):
        for label, found in own.items():
            place = labels.index(label)
            color, dashes = LINES[place % len(LINES)], DASHES[place % len(DASHES)]
            marker = "o" if len(found.x) == 1 else None
            axes.plot(found.x, found.mean, color=color, linestyle=dashes, marker=marker, ms=3)
            if found.se is not None:
                low = [m - e for m, e in zip(found.mean, found.se, strict=True)]
                high = [m + e for m, e in zip(found.mean, found.se, strict=True)]
                axes.fill_between(found.x, low, high, color=color, alpha=0.25, linewidth=0)
                if marker:  # a band of no width
                    axes.vlines(found.x, low, high, color=color, linewidth=1)
        unit = " [nats]" if metric.rpartition("/")[2] in NATS else ""
        axes.set(xscale=x_scale, ylabel=f"{plain(metric)}{unit}")
        axes.set_xlabel(x if x != "steps" else "optimiser steps")
        if x_scale == "log":
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            axes.xaxis.set_major_locator(
                MaxNLocator(5 if panels < 3 else 4, steps=(1, 2, 2.5, 5, 10))
            )
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.grid(alpha=0.2, linewidth=0.5)
        axes.margins(x=0.02)
        if y_limits is not None:
            axes.set_ylim(*y_limits)
        if beside and len(labels) > 1:
            _name(axes, {label: (c.x[-1], c.mean[-1]) for label, c in own.items() if c.x}, labels)
    runs = {label: found.runs for own in curves.values() for label, found in own.items()}
    if max(runs.values()) > 1:
        grid[0].set_title(_about(runs), loc="left", fontsize=7)
    if not beside and len(labels) > 1:
        figure.legend(
            handles=_handles(labels), loc="outside lower center", ncols=across_of(longest)
        )
    return figure


def _about(runs: Mapping[str, int]) -> str:
    numbers = sorted(set(runs.values()))
    seeds = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"mean ± standard error over {seeds} seeds"


def _handles(labels: Sequence[str]) -> list[object]:
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [],
            [],
            color=LINES[i % len(LINES)],
            linestyle=DASHES[i % len(DASHES)],
            label=plain(label),
        )
        for i, label in enumerate(labels)
    ]


def across_of(longest: int) -> int:
    """The columns of a legend below, whose longest entry has so many letters."""
    return max(1, min(5, 90 // (longest + 10)))


def _name(axes: Axes, ends: Mapping[str, tuple[float, float]], labels: Sequence[str]) -> None:
    """Names beside the axes, each as near to its line's end as the others leave room."""
    low, high = axes.get_ylim()
    order = sorted(ends, key=lambda label: ends[label][1])
    places = spread([(ends[label][1] - low) / (high - low) for label in order], 0.085)
    for label, place in zip(order, places, strict=True):
        color = LINES[labels.index(label) % len(LINES)]
        line = {"arrowstyle": "-", "color": color, "lw": 0.5, "alpha": 0.7, "shrinkB": 1}
        axes.annotate(
            plain(label),
            ends[label],
            (1.05, place),
            textcoords="axes fraction",
            fontsize=7,
            color=color,
            va="center",
            annotation_clip=False,
            arrowprops=line if low <= ends[label][1] <= high else None,
        )


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Ascending places in [0, 1], moved as little as they must to be so far apart."""
    room = max(1.0, apart * (len(places) - 1))
    moved: list[float] = []
    for place in places:  # none too near the one below
        moved.append(max(min(max(place, 0.0), room), moved[-1] + apart if moved else 0.0))
    for i in reversed(range(len(moved))):  # none above the top
        moved[i] = min(moved[i], room - apart * (len(moved) - 1 - i))
    return moved
