"""The page's one file, from what :func:`vae.pages.explorer.gather.gather` has found."""

from __future__ import annotations

from typing import Any

from vae.pages.networks import scripts
from vae.pages.page import asset, page

__all__ = ["explorer", "model_scripts"]

MODEL = ("dom", "random", "special", "families", "spaces", "model", "rate", "ways")
PARTS = (
    "pieces",
    "paint",
    "state",
    "plane",
    "sliders",
    "table",
    "draw",
    "posterior",
    "between",
    "relaxed",
    "walk",
)
"""The page's scripts, each after what it needs."""


def model_scripts() -> str:
    """The scripts that know the model, and nothing of the page: networks, samples, ways."""
    return scripts() + "\n".join(asset(f"explorer/{name}.js") for name in MODEL)


def explorer(held: dict[str, Any]) -> str:
    """The page.

    Arguments:
        held: What :func:`vae.pages.explorer.gather.gather` returns.
    """
    parts = "\n".join(asset(f"explorer/{name}.js") for name in (*PARTS, "start"))
    script = f'(() => {{\n"use strict";\n{model_scripts()}\n{parts}\n}})();\n'
    return page(
        f"Explorer: {held['name']}",
        asset("explorer/page.html"),
        asset("explorer/explorer.css"),
        script,
        held,
    )
