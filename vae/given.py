"""What is given on a command line and in its ``--config``, looked at beside the parser: what
jsonargparse would not say clearly, or not at all."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonargparse
import yaml
from yaml.constructor import ConstructorError

__all__ = [
    "assert_free",
    "assert_values",
    "assert_words",
    "is_special",
    "load_yaml",
    "read_configurations",
    "read_yaml",
]

LINKED = {
    "data.seed": "it is seed_everything's",
    "model.image_shape": "it is the data's",
}
"""Options that others determine."""

BYTES, DEPTH, NODES = 10**6, 30, 10**5
"""The most of a YAML file: its size, its levels, and its values, with every alias written out."""

LARGEST = 2**63 - 1
"""Of integers, for torch."""

FOREIGN = tuple(f"trainer.{name}" for name in "callbacks logger plugins profiler strategy".split())
"""Options of classes that are not ours, which may take what ours do not."""

_parse = jsonargparse.get_loader("yaml")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """What jsonargparse makes of YAML, which is looked at first.

    Raises:
        yaml.YAMLError: If it is none, holds a key twice, or more than any configuration does.
    """
    _assert_plain(text)
    return _parse(text)


def _assert_plain(text: str | bytes) -> None:
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


def read_configurations(words: Sequence[object]) -> list[dict[str, Any]]:
    """What the files hold that ``--config`` names among the words of a command line. Of one that is
    wrong it names the file, where jsonargparse would only name the line.

    Raises:
        ValueError: If one is no mapping in YAML.
    """
    contents = []
    for number, word in enumerate(words):
        name, _, value = str(word).partition("=")
        path = Path(value or str(words[number + 1 : number + 2] and words[number + 1]))
        if name not in ("--config", "-c") or not path.exists() or path.is_dir():
            continue
        contents.append(read_yaml(path))
    return contents


def read_yaml(path: Path) -> dict[str, Any]:
    """What a YAML file holds.

    Raises:
        ValueError: If it is no mapping.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no regular file")
    try:
        text = path.read_bytes() if path.stat().st_size <= BYTES else b" " * (BYTES + 1)
        _assert_plain(text)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = str(error).replace('in "<byte string>", ', "at ")
        raise ValueError(f"{path} is not YAML: {where}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no configuration, that is, names with values")
    return content


def assert_words(words: Sequence[object]) -> None:
    """Refuses, on a command line, an empty word, most often a variable that is not set; and a pipe,
    a device or a socket, which are neither read nor written as files are.

    Raises:
        ValueError: If there is one.
    """
    before = ""
    for word in map(str, words):
        name, given, value = word.partition("=")
        if not word.strip() or (given and name.startswith("-") and not value.strip()):
            name = before if not given and before.startswith("-") else name.strip()
            raise ValueError(f"{name or 'an argument'} is empty: give it a value, or leave it out")
        for path in (word, value):
            if path and is_special(Path(path)):
                raise ValueError(f"{path} is a pipe, a device or a socket: name a regular file")
        before = word


def is_special(path: Path) -> bool:
    """Whether a path is there, and neither a file nor a folder: opened, it could wait for ever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # not there, or no path at all
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def assert_values(options: Any) -> None:
    """Refuses, of options that are parsed, what no option can be.

    Raises:
        ValueError: If a number is NaN, infinite or too large for torch, a seed negative, or a word
            empty.
    """
    for name, value in _leaves(options):
        name = ".".join(part for part in name.split(".") if part not in ("fit", "init_args"))
        if name.startswith(FOREIGN):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} must be finite, got {value}")
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"{name} {value} is too large: give at most {LARGEST}")
        if isinstance(value, str) and not value.strip():
            raise ValueError(f"{name} is empty: give it a value, or leave it out")
        if name == "seed" and value is not None and value < 0:
            raise ValueError(f"seed must not be negative, got {value}")


def _leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values in mappings and lists, with their dotted names."""
    if isinstance(content, jsonargparse.Namespace):
        content = content.as_dict()
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _leaves(value, f"{name}.{key}".lstrip("."))
    elif isinstance(content, (list, tuple)):
        for value in content:
            yield from _leaves(value, name)
    else:
        yield name, content


def assert_free(words: Sequence[object], configurations: Sequence[dict[str, Any]]) -> None:
    """Refuses, on a command line and in its configurations, what would be overwritten without a
    word.

    Raises:
        ValueError: If one of the options that others determine is given.
    """
    names = {str(word).partition("=")[0] for word in words}
    for content in configurations:
        names |= {f"--{name}" for name, _ in _leaves(content)}
    for linked, reason in LINKED.items():
        if {f"--{linked}", f"--{linked.replace('.', '.init_args.')}"} & names:
            raise ValueError(f"{linked} is not for you to set, {reason}: leave it out")
