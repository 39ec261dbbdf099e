"""Types, defaults and markup of ``--help``, in words for a reader who knows no Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

__all__ = ["number_of", "tidied", "type_in_words", "unmarked"]


CLONE = f"{Path(__file__).resolve().parents[2]}/"
"""What defaults that are paths in a clone begin with, on the machine that it is on."""


def unmarked(text: str) -> str:
    """A docstring's words without its markup: :class:`x.Y` is Y, ``True`` is True."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?([^`]+)`", r"\1", text)
    return text.replace("``", "").replace("`", "")


def split(text: str, separator: str) -> list[str]:
    """The parts of a text at a separator, but for those in brackets."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in "[(") - (sign in "])")
        if not depth and text.startswith(separator, place):
            parts.append(text[start:place])
            start = place + len(separator)
    return [part.strip() for part in [*parts, text[start:]]]


def members(kind: str) -> list[str]:
    """The types of a union, without null; of another type, itself."""
    if found := re.fullmatch(r"(Union|Optional)\[(.*)\]", kind):
        return [m for part in split(found[2], ", ") for m in members(part)]
    parts = split(kind, " | ")
    if len(parts) > 1:
        return [m for part in parts for m in members(part)]
    return [] if kind in ("null", "None", "NoneType") else [kind]


def number_of(kind: str) -> str:
    """What stands for a number in usage: N for a whole one, X for any; empty for another type."""
    return {("float",): "X", ("float", "int"): "X", ("int",): "N"}.get(
        tuple(sorted(members(kind))), ""
    )


def type_in_words(kind: str) -> str:
    """A type as a reader would say it; empty where it goes without saying.

    A number is said by N or X, and a text is what every option takes.
    """
    if number_of(kind) or members(kind) in (["str"], ["bool"]):
        return ""
    return " or ".join(dict.fromkeys(word for m in members(kind) for word in said(m)))


def said(kind: str) -> list[str]:
    """The words for a type that is no union."""
    if found := re.fullmatch(r"Literal\[(.*)\]", kind):
        return [part.strip("'\"") for part in split(found[1], ", ")]
    if found := re.fullmatch(r"Callable\[\[.*\], (.*)\]", kind):  # which makes one
        return said(found[1])
    if found := re.fullmatch(r"(?:list|List|Sequence|Iterable|tuple)\[(.*)\]", kind):
        inner = found[1].removesuffix(", ...")
        words = {"str": "names", "int": "whole numbers", "float": "numbers"}
        return [
            f"a list of {words.get(inner) or ' or '.join(word for m in members(inner) for word in said(m))}"
        ]
    if kind.startswith("dict"):
        return ["a mapping"]
    words = {"str": "a text", "int": "a whole number", "float": "a number"}
    return [words.get(kind, "true or false" if kind == "bool" else kind)]


def tidied(text: str, has_choices: bool, short: Callable[[str], str]) -> str:
    """An option's help, whose type is in words, and whose default is left out where it is none.

    Arguments:
        text: What jsonargparse says.
        has_choices: Whether the usage lists what the option takes.
        short: Shortens the names of classes.
    """
    start = re.search(r" ?\((?=(?:required|type: |default: ))(?!.*\((?:type|default): )", text)
    if start is None:
        return unmarked(text)
    inside = text[start.end() :].removesuffix(")")
    inside, known, names = inside.partition("known subclasses: ")
    found = re.fullmatch(r"(required)?,? ?(?:type: (.*?))?,? ?(?:default: (.*?))?,? ?", inside)
    assert found is not None
    required, kind, default = found.groups()
    words = [required] if required else []
    named = bool(known) and len(members(kind or "")) == 1  # by the names of its classes
    if kind and not (has_choices or named) and (in_words := type_in_words(kind)):
        words.append(in_words)
    if default and default not in ("null", "None"):
        plain = default.lower() if default in ("True", "False") else default
        words.append(f"default: {plain.replace(CLONE, '')}")
    if known:
        words.append(f"{known}{', '.join(short(name) for name in names.split(', '))}")
    own = unmarked(text[: start.start()]).rstrip()
    return f"{own} ({', '.join(words)})".lstrip() if words else own
