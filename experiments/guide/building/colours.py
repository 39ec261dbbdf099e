"""The colours of the guide: those of all our pages, by the names that furo knows."""

from __future__ import annotations

import re

from vae.pages.page import asset

__all__ = ["colours"]

FURO = {
    "color-background-primary": "paper",
    "color-background-secondary": "panel",
    "color-background-hover": "panel",
    "color-background-border": "line",
    "color-foreground-primary": "ink",
    "color-foreground-secondary": "muted",
    "color-foreground-muted": "muted",
    "color-foreground-border": "line",
    "color-brand-primary": "ink",
    "color-brand-content": "accent",
    "color-brand-visited": "accent",
    "color-api-background": "panel",
    "color-api-name": "accent",
    "color-api-pre-name": "muted",
    "color-inline-code-background": "panel",
    "color-problematic": "bad",
    "color-admonition-background": "panel",
    "color-sidebar-link-text": "ink",
    "color-sidebar-link-text--top-level": "ink",
    "mystnb-source-bg-color": "panel",
    "mystnb-source-border-color": "line",
    "mystnb-source-margin-color": "line",
    "mystnb-stdout-bg-color": "paper",
    "mystnb-stdout-border-color": "line",
    "mystnb-stderr-bg-color": "paper",
    "mystnb-stderr-border-color": "line",
}
"""What furo calls a colour, and what our pages do."""


def colours(scheme: str) -> dict[str, str]:
    """Values of all colours of ``vae/pages/style.css`` in a scheme, by our names and by furo's.

    Arguments:
        scheme: light or dark.
    """
    css = asset("style.css")
    block = {
        "light": r":root \{(.*?)\}",
        "dark": r':root\[data-theme="dark"\] \{(.*?)\}',
    }[scheme]
    found = re.search(block, css, flags=re.DOTALL)
    assert found is not None, "the style sheet has both schemes"
    ours = dict(re.findall(r"--([\w-]+):\s*([^;]+);", found[1]))
    return ours | FONTS | {name: ours[colour] for name, colour in FURO.items()}


def _fonts(selector: str) -> str:
    """The fonts of an element in the style sheet."""
    found = re.search(
        rf"{selector} \{{[^}}]*?\bfont(?:-family)?: (?:[\d./a-z]+ )?([^;]+);", asset("style.css")
    )
    assert found is not None, f"the style sheet gives {selector} a font"
    return found[1]


FONTS = {"font-stack": _fonts("body"), "font-stack--monospace": _fonts("pre, code")}
"""The reader's own, of which none is fetched."""
