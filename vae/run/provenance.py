"""Where a trained model comes from, and what it achieved: what travels with its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae.run.files import read_json

__all__ = ["has_path", "numbers", "numbers_of", "training"]


TOLD = ("elbo", "rate", "rate_mc", "distortion", "log_likelihood_")
"""How the names of numbers begin that are told of a model wherever it goes."""

LABELS = ("mean", "se", "unit", "bound", "K", "samples", "images", "binarization", "seed", "data")
"""What a number says of itself there."""


ABSOLUTE = re.compile(r"(^|[\s='\"(\[,:])([/~]\w|~/|[A-Za-z]:\\)")
"""How an absolute path begins, in a text that may hold more."""


def training(run: Path, contents: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """How a checkpoint was made: command, git revision, versions, seed, hardware, time.

    Arguments:
        run: Its run's folder, where it is still in one.
        contents: The checkpoint's, which holds it if it has left the folder
            (``["vae"]["training"]``).

    Raises:
        ValueError: If the folder's record is damaged.
    """
    record: dict[str, Any] = {}
    for name in ("run.json", "results.json"):
        if (run / name).is_file():
            record |= read_json(run / name)
    if not record and contents is not None:
        record = dict(contents["vae"].get("training") or {})
    for name in ("metrics", "host", "pid"):
        record.pop(name, None)
    if "continued" in record:
        continued = record["continued"]
        record["continued"] = len(continued) if isinstance(continued, list) else 1
    return record


def numbers(run: Path, checkpoint: Path, contents: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a checkpoint achieved on its test images, with labels; empty if nobody has evaluated it.

    An evaluation of another checkpoint of the same run says nothing of it.

    Arguments:
        run: Its run's folder, where it is still in one.
        checkpoint: Its own path.
        contents: The checkpoint's, which holds it if it has left the folder
            (``["vae"]["numbers"]``).

    Raises:
        ValueError: If the folder's evaluation is damaged.
    """
    path = run / "evaluation-test.json"
    if path.is_file():
        found = read_json(path, metrics=dict, checkpoint=str)
        same = Path(found["checkpoint"]).name == checkpoint.name
        if same and found.get("step") == contents.get("global_step"):
            return numbers_of(found["metrics"])
    return dict(contents["vae"].get("numbers") or {})


def numbers_of(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The numbers of an evaluation that are told of a model wherever it goes.

    Arguments:
        metrics: Those of ``evaluation-SPLIT.json``.
    """
    return {
        name: {label: row[label] for label in LABELS if label in row}
        for name, row in metrics.items()
        if name.startswith(TOLD) and "_minus_" not in name
    }


def has_path(content: Any) -> bool:
    """Whether plain values hold an absolute path, which means nothing on another machine."""
    if isinstance(content, Mapping):
        content = [*content.keys(), *content.values()]
    if isinstance(content, (list, tuple)):
        return any(map(has_path, content))
    return isinstance(content, str) and ABSOLUTE.search(content) is not None
