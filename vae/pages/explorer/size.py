"""What makes a page large, and which option makes it smaller."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["LARGE", "advice"]

LARGE = 2.5e6
"""Bytes, above which a page says what to leave out: more than a mail or a chat takes with ease."""

SMALL = 0.02
"""The least share of a page that is worth a word."""


def advice(held: dict[str, Any], size: int, large: float = LARGE) -> str | None:
    """What a page's megabytes are, and what takes them away; None of one that is not large.

    Arguments:
        held: What :func:`vae.pages.explorer.gather.gather` returns.
        size: Bytes of the page.
        large: From where on it is large.
    """
    if size <= large:
        return None
    encoder = [held["encoder"], held.get("posterior")] if held["encoder"] else []
    count = len(held["images"]["pixels"]) * 3 // 4 // _pixels(held) if held["images"] else 0
    parts = [
        ("the encoder (--encoder false leaves it out)", encoder),
        ("the decoder (only a smaller model has a smaller one)", [held["decoder"], held["down"]]),
        (f"the {count} images to choose from (--images takes fewer)", [held["images"]]),
    ]
    sizes = [(sum(map(_size, part)), words + _precision(part)) for words, part in parts]
    said = [f"{own / 1e6:.2f} MB {words}" for own, words in sizes if own > SMALL * size]
    return f"larger than {large / 1e6:.1f} MB: " + ", ".join(said)


def _pixels(held: dict[str, Any]) -> int:
    channels, height, width = held["image"]
    return int(channels * height * width)


def _precision(part: Any) -> str:
    """Says of networks whose weights take twice the room that they do."""
    return ", with weights of 32 bits" if _is_wide(part) else ""


def _is_wide(part: Any) -> bool:
    if isinstance(part, dict):
        return part.get("wide") is True or _is_wide(list(part.values()))
    return isinstance(part, list) and any(map(_is_wide, part))


def _size(part: Any) -> int:
    """Bytes in the page."""
    return len(json.dumps(part, separators=(",", ":"))) if part else 0
