"""Figures, with matplotlib and no display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from vae.whole_files import replacing

__all__ = ["bench", "curve"]


def curve(series: Mapping[str, Sequence[float]], x: str, y: str, title: str, path: Path) -> None:
    """Plots a line for each name over its index, with a running mean of ten over the raw values.

    The scale is symmetric logarithmic where values are negative.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for number, (name, values) in enumerate(series.items()):
        axis.plot(values, color=f"C{number}", alpha=0.25)
        mean = [sum(values[max(0, i - 9) : i + 1]) / min(10, i + 1) for i in range(len(values))]
        axis.plot(mean, color=f"C{number}", label=name)
    axis.set(xlabel=x, ylabel=y, title=title)
    if min(min(values) for values in series.values()) < 0:
        axis.set_yscale("symlog", linthresh=1)
    axis.grid(alpha=0.2)
    axis.legend()
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=110)


def bench(result: Mapping[str, Any], names: Mapping[str, str], path: Path) -> None:
    """Plots the speed of training: by loop as a ratio to the raw loop's, and along scaling axes.

    Whole commands, if they were measured, are bars of seconds.

    Arguments:
        result: Of ``experiments/bench.py``.
        names: Of loops and of scaling axes, for people.
        path: The PNG to write.
    """
    many = result.get("many", {})
    own = {way: many[way] for way in ("eager", "compiled") if way in many}
    curves = result.get("scaling", {}) | own
    rows = [
        (result.get("models"), 5.0, _loops),
        (curves, 3.2, _curves),
        (result.get("commands"), 3.2, _commands),
    ]
    shown = [(found, height, draw) for found, height, draw in rows if found] or [
        ({}, 1.0, _curves)
    ]
    heights = [height for _, height, _ in shown]
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{result['hardware']}; medians and quartiles", fontsize=10)
    parts = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (found, _, draw) in zip(parts, shown, strict=True):
        draw(part, found, names)
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=110)


def _loops(part: Any, models: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Bars of each loop's ratio to the raw loop, in a group for each model."""
    axis, position, ticks = part.subplots(), 0, []
    loops = [n for n in names if any(n in model["loops"] for model in models.values())]
    for model in models.values():
        first = position
        for loop in (loop for loop in loops if loop in model["loops"] and loop != "raw"):
            ratio = model["loops"][loop]["ratio"]
            median, low, high = (ratio[name] for name in ("median", "q1", "q3"))
            color = f"C{loops.index(loop)}"
            axis.bar(position, median, color=color, label=names[loop])
            axis.errorbar(position, median, [[median - low], [high - median]], color="0.2")
            above = {"textcoords": "offset points", "ha": "center", "fontsize": 7}
            axis.annotate(f"{median:.2f}", (position, high), (0, 3), **above)
            position += 1
        raw = model["loops"]["raw"]["images_per_second"]["median"]
        words = f"{model['title'].replace(', ', chr(10), 1)}\nbatch {model['batch_size']}"
        ticks.append(((first + position - 1) / 2, f"{words}\nraw: {raw:,.0f}/s"))
        position += 1
    axis.axhline(1, color="0.5", lw=0.8, zorder=0)
    axis.set_xticks([x for x, _ in ticks], [words for _, words in ticks], fontsize=8)
    axis.set_ylabel(f"images a second (/s), as a ratio to the {names['raw']}")
    unique = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    axis.legend(unique.values(), unique.keys(), loc="upper left", bbox_to_anchor=(1, 1))


def _curves(part: Any, curves: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Images a second along each axis, with logarithmic scales."""
    axes = part.subplots(1, max(1, len(curves)), squeeze=False)[0]
    for axis, (name, points) in zip(axes, curves.items(), strict=False):
        rows = [point.get("images_per_second", point) for point in points.values()]
        x, y = [int(number) for number in points], [row["median"] for row in rows]
        low, high = ([abs(row[q] - row["median"]) for row in rows] for q in ("q1", "q3"))
        axis.errorbar(x, y, [low, high], marker="o", ms=4)
        axis.set(xscale="log", yscale="log", xlabel=names[name], ylabel="images a second")
        axis.set_ylim(min(y) / 2, max(y) * 2)
        axis.set_xticks(x, [str(number) for number in x], fontsize=7)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:,.0f}")
        for ticked in (axis.xaxis, axis.yaxis):
            ticked.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.2)


def _commands(part: Any, commands: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Bars of whole commands' wall time, beside each other by the number of epochs."""
    axes = part.subplots(1, len(commands), squeeze=False)[0]
    for axis, (epochs, rows) in zip(axes, commands.items(), strict=True):
        for y, (name, row) in enumerate(rows.items()):
            wall = row["wall"]
            off = [[wall["median"] - wall["q1"]], [wall["q3"] - wall["median"]]]
            axis.barh(y, wall["median"], xerr=off, color="C0" if name.startswith("fit") else "0.6")
            axis.annotate(
                f"{wall['median']:.0f} s",
                (wall["q3"], y),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
        axis.invert_yaxis()
        axis.margins(x=0.12)
        axis.set_xlabel(f"seconds of a whole command, {epochs} epochs")
