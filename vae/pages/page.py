"""The shell of every page: one file, one look, and no request that leaves it.

The look is ``style.css`` (colours by name, light and dark); ``theme.js`` is the button that switches
between the two.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

__all__ = ["asset", "page"]

POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-{}'"
)
"""No request, and no script but the page's own, whatever a file of a run has brought into the page."""

SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{css}
</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="bar"><h1>{title}</h1><button id="theme" type="button">Dark</button></header>
<main id="main">
{body}
</main>
{data}<script>{script}</script>
</body>
</html>
"""


def asset(name: str) -> str:
    """The text of a style sheet, script or piece of a page in this package.

    Arguments:
        name: Its path inside ``vae/pages``, such as ``"explorer/page.html"``.
    """
    return (files("vae.pages") / name).read_text(encoding="utf-8")


def page(title: str, body: str, css: str = "", script: str = "", data: Any = None) -> str:
    """A page of one file.

    Arguments:
        title: Plain text.
        body: HTML of the content.
        css: Beyond the common style.
        script: JavaScript, run when all of the page is there.
        data: What the script finds as ``JSON.parse(document.getElementById("data").textContent)``.

    Raises:
        ValueError: If the data hold an infinity or a NaN, which JSON does not know.
    """
    held = ""
    if data is not None:
        text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
        held = f'<script type="application/json" id="data">{text}</script>\n'
    script = _closed(f"\n{asset('theme.js')}{script}\n")
    digest = hashlib.sha256(script.encode()).digest()
    return SHELL.format(
        policy=POLICY.format(base64.b64encode(digest).decode()),
        title=html.escape(title),
        css=asset("style.css") + css,
        body=body,
        data=held,
        script=script,
    )


def _closed(script: str) -> str:
    """A script that does not end its own element, whatever strings are in it."""
    return re.sub(r"</(script)", r"<\\/\1", script, flags=re.IGNORECASE)
