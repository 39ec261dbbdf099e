"""Names in a picture as they are: letters of all scripts, and signs that a formula begins with."""

from __future__ import annotations

import re
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["families", "lettered", "plain", "wide"]

OTHERS = re.compile(
    r"(Noto Sans CJK|Source Han Sans|WenQuanYi|Droid Sans Fallback|IPA.*Gothic|Hiragino Sans|PingFang"
    r"|Heiti|Microsoft YaHei|SimHei|Yu Gothic|Meiryo|MS Gothic|Malgun Gothic|Nanum Gothic"
    r"|Arial Unicode|Noto Sans Symbols|Symbola|Noto Emoji|Segoe UI Emoji).*"
)
"""Fonts with letters that matplotlib's own lack, of which a machine has some or none."""

LACKING = re.compile(r"Glyph (\d+) .*missing from")
"""Of matplotlib's warning."""


@cache
def families() -> list[str]:
    """The fonts of a picture: a later one has the letters that those before it lack."""
    from matplotlib.font_manager import fontManager

    found = {font.name for font in fontManager.ttflist if OTHERS.fullmatch(font.name)}
    return ["sans-serif", *sorted(found)]


def plain(name: str) -> str:
    """A name as it is: between two dollar signs it would be read as a formula."""
    return name.replace("$", r"\$")


def wide(name: str) -> int:
    """How many letters' room a name takes: one of Chinese, Japanese or Korean takes two."""
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in name)


@contextmanager
def lettered(said: bool) -> Iterator[None]:
    """Draws without matplotlib's warnings of letters that no font has.

    Arguments:
        said: Whether a line says which there are: in pixels they are boxes; a browser that shows an SVG
            has fonts of its own.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lacking: dict[str, Any] = {}
    for one in caught:
        if found := LACKING.match(str(one.message)):
            lacking[chr(int(found[1]))] = None
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if lacking and said:
        print(
            f"no font of this machine has {' '.join(lacking)}: boxes are in the picture instead",
            file=sys.stderr,
        )
