"""Pictures inside a page: figures as SVG whose colours are the page's, and images as data."""

from __future__ import annotations

import base64
import html
import io
import re
from typing import TYPE_CHECKING

from vae.pictures.style import GREY, LINES, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

__all__ = ["image", "png_of", "svg"]

INK = {"#000000": "--ink", "#262626": "--ink", "#b0b0b0": "--muted", "#bfbfbf": "--line"}
"""Of axes and error bars, of the grid, and of bars that count as nothing."""

PANEL = {"#f6f6f6": "--panel"}
"""Of stripes beneath rows."""

PIXELS = 96 * 1.32
"""Of the screen, to an inch of a figure: its letters are then about as large as the page's small ones."""

WIDE, LEAST = 600, 0.7
"""Pixels from which a figure scrolls sideways on a phone, and how far it shrinks before it does."""


def _colors() -> dict[str, str]:
    """Colours of figures, to the names that the page has for them."""
    named = {color.lower(): f"--c{place}" for place, color in enumerate(LINES)}
    grey = f"#{round(float(GREY) * 255):02x}" + f"{round(float(GREY) * 255):02x}" * 2
    return {**named, **INK, **PANEL, grey: "--muted"}


def svg(figure: Figure, name: str, about: str) -> str:
    """A figure as an element of the page.

    A figure of lines and letters has the page's colours, light or dark; one that shows images stands on
    white paper.

    Arguments:
        figure: The figure.
        name: Unique in the page: what is named inside the figure begins with it.
        about: What it shows, for who does not see it.
    """
    paper = any(axes.images for axes in figure.axes)
    text = to_svg(figure, transparent=not paper)
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<metadata>.*?</metadata>\s*|<style[^>]*>.*?</style>\s*|<!--.*?-->\s*",
        "",
        text,
        flags=re.S,
    )
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    if not paper:
        for color, variable in _colors().items():
            text = re.sub(rf"{color}\b", f"var({variable})", text, flags=re.I)
    width = figure.get_figwidth() * PIXELS
    least = 0 if width < WIDE else width * LEAST
    box = re.search(r'viewBox="[^"]+"', text)
    assert box
    opening = (
        f'<svg {box[0]} role="img" aria-label="{html.escape(about)}"'
        f' style="width: {width:.0f}px; max-width: 100%; min-width: {least:.0f}px" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    kind = "plot paper" if paper else "plot"
    focus = (
        f' tabindex="0" role="region" aria-label="{html.escape(about)}"' if width >= WIDE else ""
    )
    body = re.sub(r"\n\s*", "\n", text[text.index(">") + 1 :]).strip()
    return f'<div class="scroll {kind}"{focus}>{opening}{body}</div>'


def png_of(grid: Tensor) -> bytes:
    """An image ``(3, H, W)`` in [0, 1] as PNG; of one brightness, if it has no colour."""
    import torch
    from PIL import Image

    levels = grid.detach().mul(255).add_(0.5).clamp_(0, 255).to("cpu", torch.uint8)
    grey = bool((levels[:1] == levels).all())
    array = levels[0].numpy() if grey else levels.permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", optimize=True)
    return file.getvalue()


def image(png: bytes, about: str) -> str:
    """A PNG as an element of the page."""
    data = base64.b64encode(png).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(about)}">'
