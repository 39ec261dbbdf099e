"""Checks of a command line and its ``--config`` files, beyond those of the parser."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonargparse

from vae.models.files import is_special
from vae.nearest import meant
from vae.run.plain_yaml import read_yaml

__all__ = [
    "assert_free",
    "assert_values",
    "assert_words",
    "named_configuration",
    "read_configurations",
    "with_classes_first",
    "with_named_configurations",
]


LINKED = {
    "data.seed": "seed_everything",
    "model.image_shape": "the data",
}
"""Options that follow from something else, and from what."""

LARGEST = 2**63 - 1
"""The largest integer that torch takes."""

FOREIGN = tuple(f"trainer.{name}" for name in "callbacks logger plugins profiler strategy".split())
"""Options of classes that are not this library's, whose values are not checked here."""


CONFIGS = Path(__file__).parent.parent / "configs"
"""The configurations that come with the package."""


def named_configuration(name: str) -> str:
    """The path of one of the package's configurations; whatever else is given, as it is.

    A file of that name in the current folder comes first, and a line says so.

    Raises:
        ValueError: If a bare word is neither.
    """
    if not re.fullmatch(r"(models/)?\w+", name):
        return name
    if Path(name).is_file():
        if (CONFIGS / f"{name}.yaml").is_file():
            print(f"config {name}: your file of that name is read", file=sys.stderr)
        return name
    folder = CONFIGS / Path(name).parent
    known = sorted(
        str(path.relative_to(CONFIGS).with_suffix("")) for path in folder.glob("*.yaml")
    )
    if name not in known:
        raise ValueError(
            f"config {name} is no file, and none of the package's{meant(name, known)}:"
            f" {', '.join(known)}"
        )
    return str(CONFIGS / f"{name}.yaml")


def with_named_configurations(words: Sequence[str]) -> list[str]:
    """A command line in which ``--config gaussian`` is the path of that configuration.

    Raises:
        ValueError: As :func:`named_configuration`.
    """
    named = list(words)
    for number, word in enumerate(words):
        option, joined, value = word.partition("=")
        if option not in ("--config", "-c"):
            continue
        if joined:
            named[number] = f"{option}={named_configuration(value)}"
        elif number + 1 < len(words):
            named[number + 1] = named_configuration(words[number + 1])
    return named


def with_classes_first(words: Sequence[str]) -> list[str]:
    """A command line in which ``--model`` and ``--data`` come before their own options.

    Otherwise the parser takes the options for those of another class.
    """
    found = list(words)
    for part in ("--model", "--data"):
        firsts = [n for n, word in enumerate(found) if word.startswith(f"{part}.")]
        names = [n for n, word in enumerate(found) if word.partition("=")[0] == part]
        if firsts and names and firsts[0] < names[0]:
            number = names[0]
            size = 1 if "=" in found[number] else 2
            named = found[number : number + size]
            del found[number : number + size]
            found[firsts[0] : firsts[0]] = named
    return found


def read_configurations(words: Sequence[object]) -> list[dict[str, Any]]:
    """Reads the files that ``--config`` names on a command line.

    Raises:
        ValueError: If one is no mapping in YAML; it names the file, where jsonargparse would name
            only the line.
    """
    contents = []
    for number, word in enumerate(words):
        name, _, value = str(word).partition("=")
        path = Path(value or str(words[number + 1 : number + 2] and words[number + 1]))
        if name not in ("--config", "-c") or not path.exists() or path.is_dir():
            continue
        contents.append(read_yaml(path))
    return contents


def assert_words(words: Sequence[object]) -> None:
    """Refuses words that cannot be meant.

    Raises:
        ValueError: If one is empty, which is most often a shell variable that is not set; or the
            path of a pipe, a device or a socket, which are not read and written as files are.
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


def assert_values(options: Any) -> None:
    """Refuses values that no option can have.

    Arguments:
        options: Parsed options.

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
    """Refuses options that would be ignored, because their value follows from something else.

    Arguments:
        words: The command line.
        configurations: The contents of its ``--config`` files.

    Raises:
        ValueError: If one of them is given.
    """
    names = {str(word).partition("=")[0] for word in words}
    for content in configurations:
        names |= {f"--{name}" for name, _ in _leaves(content)}
    for linked, reason in LINKED.items():
        if {f"--{linked}", f"--{linked.replace('.', '.init_args.')}"} & names:
            raise ValueError(f"{linked} is set by {reason}: leave it out")
