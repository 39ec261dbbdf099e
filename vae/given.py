"""What is given on a command line and in its ``--config``, looked at before it is parsed: what
jsonargparse would not say clearly, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

__all__ = ["assert_free", "assert_yaml"]

LINKED = {
    "data.seed": "it is seed_everything's",
    "model.image_shape": "it is the data's",
}
"""Options that others determine."""


def _configurations(words: Sequence[object]) -> list[Path]:
    """The files that ``--config`` names."""
    named = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, _, value = str(word).partition("=")
        path = Path(value or str(following))
        if name == "--config" and path.is_file():
            named.append(path)
    return named


def assert_yaml(words: Sequence[object]) -> None:
    """Names the file, where jsonargparse would only name the line.

    Raises:
        ValueError: If a ``--config`` among the words of a command line is no mapping in YAML.
    """
    for path in _configurations(words):
        try:
            content = yaml.safe_load(path.read_bytes())
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            where = str(error).replace('in "<byte string>", ', "at ")
            raise ValueError(f"{path} is not YAML: {where}") from None
        if not isinstance(content, dict):
            raise ValueError(f"{path} holds no configuration, that is, names with values")


def assert_free(words: Sequence[object]) -> None:
    """Refuses what would be overwritten without a word.

    Raises:
        ValueError: If one of the options that others determine is given.
    """
    names = {str(word).partition("=")[0] for word in words}
    for path in _configurations(words):
        names |= {f"--{name}" for name in _names(yaml.safe_load(path.read_bytes()))}
    for linked, reason in LINKED.items():
        if {f"--{linked}", f"--{linked.replace('.', '.init_args.')}"} & names:
            raise ValueError(f"{linked} is not for you to set, {reason}: leave it out")


def _names(content: Any) -> list[str]:
    """The dotted names of what a mapping of mappings holds."""
    if not isinstance(content, dict):
        return [""]
    return [
        f"{key}.{name}".rstrip(".") for key, value in content.items() for name in _names(value)
    ]
