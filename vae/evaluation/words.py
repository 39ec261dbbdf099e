"""What belongs to a number of an evaluation, in words: in the terminal's table and in a report's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["in_words", "labels_of", "short"]

OWN_COLUMNS = {
    "mean",
    "se",
    "unit",
    "bound",
    "part",
    "images",
    "asked",
    "binarization",
    "seed",
    "seconds",
    "warning",
}
"""What has a column of its own, or a line beneath the table."""

WORDS = {"se_z": "error over z", "ess": "effective samples"}
"""How labels are said that are short in the JSON."""


def in_words(row: Mapping[str, Any]) -> str:
    """A number with its standard error, with as many digits as that makes sense of."""
    value, error = row["mean"], row.get("se")
    if value is None:
        return "-"
    if error is None:
        return f"{value:,.4g}" if abs(value) < 1 or value != int(value) else f"{value:,.0f}"
    digits = 2 if error >= 0.005 else 4
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def labels_of(row: Mapping[str, Any]) -> list[str]:
    """What belongs to a number beside what has a column, in words; lists are for the JSON alone."""
    said = []
    for key, value in row.items():
        if key in OWN_COLUMNS or isinstance(value, list):
            continue
        quantity, _, limit = key.rpartition("_over_")
        if quantity and isinstance(value, float):
            said.append(f"{quantity.replace('_', ' ')} > {limit} in {100 * value:.3g}% of images")
        else:
            said.append(f"{WORDS.get(key, key.replace('_', ' '))} {short(value)}")
    return said


def short(value: object) -> str:
    """A label's value with few digits."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
