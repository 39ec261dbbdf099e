"""How all pictures look: sizes, fonts and colours, in one place.

Sizes are those of a paper's columns, so that a picture is put there as it is and its letters are as
large as its captions'. The colours are told apart by people who do not see all of them; in grey, dashes
tell lines apart, and names written in their midst classes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from vae.pictures.letters import families, lettered
from vae.whole_files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLUMN",
    "DASHES",
    "GREY",
    "HEAT",
    "LINES",
    "SUFFIXES",
    "TEXT",
    "class_colors",
    "new_figure",
    "number_variables",
    "picture_file",
    "save",
    "styled",
    "to_png",
    "to_svg",
]

COLUMN, TEXT = 3.25, 6.75
"""Widths of one column and of the whole text of a two-column paper, in inches."""

LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
"""Of lines, in this order, the first one of bars too (Okabe & Ito, 2008)."""

DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
"""Of lines, so that they are told apart in grey too."""

CLASSES = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Of up to ten classes (Petroff, 2021; https://arxiv.org/abs/2107.02270)."""

GREY = "0.45"

HEAT = "Blues"
"""The colour map of probabilities: white is none, and lightness falls all the way."""

SUFFIXES = (".png", ".pdf")

RC: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "image.interpolation": "nearest",
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # letters stay letters: journals refuse others
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Gives what a function draws the style of all pictures; matplotlib is imported here."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib

        with matplotlib.rc_context(RC | {"font.family": families()}), lettered(said=False):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def class_colors(number: int) -> list[Any]:
    """A colour for each of so many classes; beyond ten, they are shades."""
    if number <= len(CLASSES):
        return list(CLASSES[:number])
    from matplotlib import colormaps

    return [colormaps["viridis"](i / (number - 1)) for i in range(number)]


def number_variables(axes: Axes, order: Sequence[int]) -> None:
    """Numbers below columns of variables, from 1 on, as many as there is room for.

    Arguments:
        axes: A column a variable, in one paper's column up to 24 of them, else across the text.
        order: The variables, from 0 on, from left to right.
    """
    shown = range(0, len(order), -(-len(order) // 24))
    axes.set_xticks(list(shown), [str(order[place] + 1) for place in shown])
    axes.tick_params(
        "x", length=0 if len(order) <= 24 else 2, labelsize=6 if len(order) > 12 else 7
    )


def picture_file(path: Path) -> Path:
    """The path, if its suffix is that of a picture.

    Raises:
        ValueError: If it is not.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"unknown file extension: {path.suffix or 'none'}; use {' or '.join(SUFFIXES)}"
        )
    return path


def save(figure: Figure, path: Path) -> None:
    """Writes a picture, in the format of its suffix, whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    import matplotlib

    with replacing(path) as file, matplotlib.rc_context(RC), lettered(said=True):
        figure.savefig(file, format=path.suffix[1:].lower())


def to_svg(figure: Figure, transparent: bool = False) -> str:
    """A picture as SVG, whose letters stay letters; the same figure gives the same text.

    Arguments:
        figure: The picture.
        transparent: Whether it has no ground of its own.
    """
    import matplotlib

    file = io.StringIO()
    none = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    letters = {"svg.fonttype": "none", "svg.hashsalt": "vae"}
    with matplotlib.rc_context(RC | letters), lettered(said=False):
        figure.savefig(file, format="svg", transparent=transparent, metadata=none)
    return file.getvalue()


def to_png(figure: Figure) -> bytes:
    """A picture as PNG."""
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context(RC), lettered(said=False):
        figure.savefig(file, format="png")
    return file.getvalue()
