"""A model's folder on the Hugging Face hub: ``model.safetensors`` and ``config.json``.

It is read as a checkpoint is: the configuration names the classes of the model's parts, under the
same keys, and they pass the same gate (:mod:`vae.models.trust`) before anything is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["CONFIG", "LIBRARY", "NEEDED", "WEIGHTS", "configuration", "is_folder", "read_folder"]

CONFIG, WEIGHTS, LIBRARY = "config.json", "model.safetensors", "vae"

NAMES = ("model", "parts", "why_not", "data", "data_why_not", "training", "numbers")
"""What the configuration holds of ``["vae"]`` in a checkpoint."""

NEEDED = (
    "the hub needs the libraries huggingface_hub and safetensors: pip install huggingface_hub"
    " safetensors (in a clone: pip install '.[hub]')"
)


def is_folder(path: Path) -> bool:
    """Whether a folder holds a model as the hub has it."""
    return (path / WEIGHTS).is_file()


def configuration(contents: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` holds of a checkpoint's contents."""
    own = {name: contents["vae"][name] for name in NAMES if name in contents["vae"]}
    return {"library_name": LIBRARY, "global_step": contents.get("global_step")} | own


def read_folder(weights: Path) -> dict[str, Any]:
    """The contents of a checkpoint that a folder stands for; nothing is imported or checked yet.

    Arguments:
        weights: Its ``model.safetensors``; ``config.json`` is beside it.

    Raises:
        FileNotFoundError: If there is no ``config.json``.
        ValueError: If a file is damaged, or the folder is of another library.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ValueError(NEEDED) from None
    path = weights.with_name(CONFIG)
    if not path.is_file():
        raise FileNotFoundError(
            f"{weights.parent} holds no {CONFIG}, which says what its model is made of"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8: save it as such") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON: it is truncated or damaged") from None
    if not isinstance(config, dict) or config.get("library_name") != LIBRARY:
        raise ValueError(f"{path} is of another library's model, or damaged")
    for name in ("training", "numbers"):
        if not isinstance(config.get(name), (dict, type(None))):
            raise ValueError(f"{path} does not say its {name}: it is damaged")
    if not all(map(_is_number, (config.get("numbers") or {}).values())):
        raise ValueError(f"{path} does not say its numbers: it is damaged")
    try:
        tensors = load_file(weights)
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        reason = "it is empty" if weights.stat().st_size == 0 else type(error).__name__
        raise ValueError(
            f"{weights} cannot be read ({reason}): it is truncated, damaged or of another kind"
        ) from None
    own = {"model": None} | {name: config[name] for name in NAMES if name in config}
    return {"vae": own, "state_dict": tensors, "global_step": config.get("global_step")}


def _is_number(row: Any) -> bool:
    """Whether it is a number with what it is, as a model card shows it."""
    return (
        isinstance(row, dict)
        and {"mean", "unit", "bound"} <= row.keys()
        and all(isinstance(row.get(name), (int, float, type(None))) for name in ("mean", "se"))
        and all(isinstance(row.get(name, 0), int) for name in ("K", "samples", "images"))
    )
