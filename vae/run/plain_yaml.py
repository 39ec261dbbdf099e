"""YAML of plain values, of a reasonable size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonargparse
import yaml
from yaml.constructor import ConstructorError

__all__ = ["assert_plain", "load_yaml", "read_yaml"]


BYTES, DEPTH, NODES = 10**6, 30, 10**5
"""Limits of a YAML file: its size, its levels, and its values, with every alias written out."""

_parse = jsonargparse.get_loader("yaml")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """Loads YAML as jsonargparse does, after checking its size and its keys.

    Raises:
        yaml.YAMLError: If it is not YAML, holds a key twice, or is larger than any configuration.
    """
    assert_plain(text)
    return _parse(text)


def assert_plain(text: str | bytes) -> None:
    if len(text) > BYTES:
        raise yaml.YAMLError(f"it is larger than {BYTES:,} bytes")
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise _complaint(f"it is deeper than {DEPTH} levels", event)
    root = yaml.compose(text, Loader=_Loader)
    if root is not None and _size(root, {}) > NODES:
        raise yaml.YAMLError(f"with its aliases written out it holds more than {NODES:,} values")


def _complaint(text: str, where: Any) -> yaml.YAMLError:
    return ConstructorError(problem=text, problem_mark=where.start_mark)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """The number of values in a node, its aliases written out."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = NODES + 1  # of one that holds itself
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise _complaint(f"the key {key.value} is there twice", key)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
            parts += [key, value]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    known[id(node)] = min(NODES + 1, 1 + sum(_size(part, known) for part in parts))
    return known[id(node)]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ValueError: If it is no mapping.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no regular file")
    try:
        text = (
            path.read_text(encoding="utf-8") if path.stat().st_size <= BYTES else " " * (BYTES + 1)
        )
        content = load_yaml(text)  # as the parser that reads it next: another one may differ
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8 (byte {error.start + 1}): save it as such"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = str(error).replace('in "<unicode string>", ', "at ")
        raise ValueError(f"{path} is not YAML: {where}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no configuration, that is, names with values")
    return content
