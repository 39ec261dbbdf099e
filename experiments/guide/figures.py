"""Figures of the guide: the look of all our pictures, in the page's own colours, light or dark.

A page draws with matplotlib and ends its cell with a :class:`Drawn`::

    figure, axes = panels(1, 2)
    axes[0].plot(x, y, color=LINES[0], label="score function")
    Drawn(figure, "Variance against the number of samples", wide=True)
"""

from __future__ import annotations

import html
import io
import re
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae.pictures.style import DASHES, GREY, LINES, RC, new_figure

__all__ = ["DASHES", "GREY", "LINES", "WIDTH", "Drawn", "label_lines", "panels"]

WIDTH = 7.2
"""Of the text of a page, in inches."""

matplotlib.rcParams.update(
    RC
    | {
        "font.size": 10,
        "axes.titlesize": 10,
        "axes.labelsize": 10,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "axes.linewidth": 0.8,
        "lines.linewidth": 1.6,
        "svg.fonttype": "none",  # letters stay letters, in the page's font
        "svg.hashsalt": "guide",
    }
)

NAMES = {
    **{colour.lower(): f"var(--c{place})" for place, colour in enumerate(LINES)},
    "#000000": "var(--ink)",
    "#ffffff": "var(--paper)",
    matplotlib.colors.to_hex(GREY): "var(--muted)",
}
"""What a colour of matplotlib's is called in our style sheet."""


def panels(
    rows: int = 1, columns: int = 1, width: float = WIDTH, height: float = 2.6, **options: Any
) -> tuple[Figure, Any]:
    """A figure, and its axes: one, or an array of them.

    Arguments:
        rows, columns: How many axes.
        width, height: Of the whole figure, in inches.
        options: ``Figure.subplots``'s, such as ``sharey=True``.
    """
    figure = new_figure(width, height)
    return figure, figure.subplots(rows, columns, **options)


class Drawn:
    """A figure as a page shows it.

    Arguments:
        figure: Lines in colours of :data:`LINES`, ``GREY``, black and white follow the page's
            scheme; others stay as they are.
        says: What is to be seen, in a sentence, for those who do not see it.
        wide: Whether it keeps its width on a phone, and is scrolled there.
    """

    def __init__(self, figure: Figure, says: str, wide: bool = True) -> None:
        self.figure, self.says, self.wide = figure, says, wide

    def _repr_html_(self) -> str:
        held = io.StringIO()
        self.figure.savefig(held, format="svg", transparent=True, metadata={"Date": None})
        svg = held.getvalue()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: NAMES.get(found[0], found[0]), svg)
        label = html.escape(self.says, quote=True)
        kind = ' class="wide"' if self.wide else ""
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}"{kind}', 1)
        scroll = ' tabindex="0"' if self.wide else ""
        return f'<figure class="drawn"{scroll}>{svg}</figure>'


def label_lines(axes: Axes) -> None:
    """Writes each line's label at its right end, in its colour, in the place of a legend."""
    for line in axes.get_lines():
        x, y = line.get_xdata()[-1], line.get_ydata()[-1]  # type: ignore[index]
        axes.annotate(
            str(line.get_label()), (x, y), xytext=(4, 0), textcoords="offset points",
            color=line.get_color(), va="center", annotation_clip=False,
        )  # fmt: skip
