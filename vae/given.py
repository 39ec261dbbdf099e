"""What is given on a command line and in its ``--config``, looked at before it is parsed: what
jsonargparse would not say clearly, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

__all__ = ["assert_free", "read_configurations"]

LINKED = {
    "data.seed": "it is seed_everything's",
    "model.image_shape": "it is the data's",
}
"""Options that others determine."""


def read_configurations(words: Sequence[object]) -> list[dict[str, Any]]:
    """What the files hold that ``--config`` names among the words of a command line. Of one that is
    wrong it names the file, where jsonargparse would only name the line.

    Raises:
        ValueError: If one is no mapping in YAML.
    """
    contents = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, _, value = str(word).partition("=")
        path = Path(value or str(following))
        if name != "--config" or not path.is_file():
            continue
        try:
            content = yaml.safe_load(path.read_bytes())
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            where = str(error).replace('in "<byte string>", ', "at ")
            raise ValueError(f"{path} is not YAML: {where}") from None
        if not isinstance(content, dict):
            raise ValueError(f"{path} holds no configuration, that is, names with values")
        contents.append(content)
    return contents


def assert_free(words: Sequence[object], configurations: Sequence[dict[str, Any]]) -> None:
    """Refuses, on a command line and in its configurations, what would be overwritten without a
    word.

    Raises:
        ValueError: If one of the options that others determine is given.
    """
    names = {str(word).partition("=")[0] for word in words}
    for content in configurations:
        names |= {f"--{name}" for name in _names(content)}
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
