"""The JSON of an evaluation, in the folder of what it evaluates.

``evaluation-SPLIT.json`` grows: what a later evaluation of the same weights and images adds stands
beside what was there, and a number is replaced by none of fewer images or samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae.evaluation.asking import Answered
from vae.evaluation.part import Number
from vae.evaluation.parts import ALWAYS, PARTS
from vae.run.files import finite, read_json

__all__ = ["entry", "held", "merged", "place"]


EFFORT = ("samples", "temperatures", "mixture")
"""Labels that say how much was computed for a number of the same images."""

OF_LOG_P = ("elbo", "log_likelihood", "ais", "exact")
"""How the names of numbers begin that are an estimate of log p(x), or bound it."""

SAME = ("step", "split", "binarization", "data")
"""What two evaluations in one file have in common, beside the checkpoint."""


def place(folder: Path, about: Mapping[str, Any], other_data: str | None) -> Path:
    """Where an evaluation goes: one of fewer images than the file there gets a name of its own.

    Arguments:
        folder: The run's.
        about: The evaluation's.
        other_data: The name of data that the model was not trained on, or None.
    """
    stem = f"evaluation-{about['split']}" + (f"-{other_data}" if other_data else "")
    path = folder / f"{stem}.json"
    there = held(path, about)
    if there and about["images"] < int(there.get("images") or 0):
        return folder / f"{stem}-{about['images']}-images.json"
    return path


def held(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """What a file holds of the same checkpoint and images; nothing if it is of others, or damaged."""
    try:
        found = read_json(path, metrics=dict) if path.is_file() else {}
        same = Path(found["checkpoint"]).name == Path(about["checkpoint"]).name
        for row in found["metrics"].values():
            row.setdefault("images", found["images"])  # of an older version
            _worth(row)
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    same = same and all(found.get(name) == about.get(name) for name in SAME)
    return found if same else {}


def entry(
    number: Number,
    found: Answered,
    binarization: str | None,
    seed: int,
    cross_entropy: bool = False,
    pixels: int | None = None,
) -> dict[str, Any]:
    """A number as JSON has it, with all that it is.

    Arguments:
        number: One of the part's.
        found: The part's answers.
        binarization: Of the images.
        seed: Of what was drawn.
        cross_entropy: Whether log p(x|z) is no probability: then nothing bounds log p(x).
        pixels: How many an image has, of a likelihood of grey levels: then what is said of log p(x)
            is said in bits a dimension too.
    """
    none = cross_entropy and found.part.of_log_p and number.name not in ("rate", "rate_mc")
    images, asked, seconds = found.images, found.asked, found.seconds
    cut_short = {"asked": asked} if images < asked and number.images is None else {}
    images = images if number.images is None else number.images
    said = [number.warning] if number.warning else []
    if not math.isfinite(number.value):
        said.append(f"it is {number.value}, which JSON has no word for")
    of_log_p = found.part.of_log_p and number.name.startswith(OF_LOG_P)
    bits = {}
    if pixels and of_log_p and number.unit == "nats" and "_minus_" not in number.name:
        bits = {"bits_a_dimension": _rounded(-number.value / pixels / math.log(2))}
    warning = {"warning": "; ".join(said)} if said else {}
    return {
        "mean": _rounded(number.value),
        "se": None if number.se is None else _rounded(number.se),
        "unit": number.unit,
        "bound": "cross-entropy" if none else number.bound,
        "part": found.part.name,
        **finite(dict(number.labels)),
        **bits,
        "images": images,
        **cut_short,
        "binarization": binarization,
        "seed": seed,
        "seconds": round(seconds, 1),
        **warning,
    }


def merged(
    there: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The numbers of two evaluations by name, in the order of the parts.

    Of two of the same name it is the one of the most images and samples.
    """
    kept = {
        name: row
        for name, row in there.items()
        if name not in new or _worth(row) > _worth(new[name])
    }
    rows, order = {**new, **kept}, [*ALWAYS, *PARTS]
    place = {part: number for number, part in enumerate(order)}
    last = len(order)
    return dict(sorted(rows.items(), key=lambda item: place.get(item[1].get("part", ""), last)))


def _worth(row: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(row.get(name) or 0) for name in ("images", *EFFORT))


def _rounded(value: float) -> float | None:
    """To four digits after the point, and of small numbers to four digits that count."""
    if not math.isfinite(value):
        return None
    return float(f"{value:.4g}") if abs(value) < 1 else round(value, 4)
