"""The options of ``vae evaluate`` that ask for a part, and those of the part."""

from __future__ import annotations

import argparse
import inspect
from typing import Any, get_args, get_origin, get_type_hints

from docstring_parser import parse

from vae.cli.parser import ScriptParser
from vae.evaluation.part import Part
from vae.evaluation.parts import ALWAYS, PARTS, part_class

__all__ = ["add_parts", "take_parts"]


def add_parts(parser: ScriptParser) -> None:
    """Adds a flag for each part, and an option for each argument of its constructor.

    What every evaluation begins with has no flag.
    """
    for name in _always_with_options():
        _add_options(parser, name, _arguments(part_class(name)))
    parser.add_argument("--all", action="store_true", help="ask every part that has an answer")
    parser.add_argument(
        "--again", action="store_true", help="compute anew what an earlier evaluation has answered"
    )
    for name in PARTS:
        kind = part_class(name)
        options = _arguments(kind)
        how: dict[str, Any] = {"action": "store_true"}
        if kind.values is not None:
            annotation, default, _ = options.pop(kind.values)
            how = {
                "nargs": "*",
                "type": _one_of(annotation),
                "metavar": kind.values.upper(),
            }
            shown = " ".join(map(str, default if isinstance(default, list) else [default]))
            how["help"] = f"{kind.title} (without a value: {shown})"
        else:
            how["help"] = kind.title
        parser.add_argument(f"--{name}", **how)
        some = "all" if kind.images is None else kind.images
        parser.add_argument(
            f"--{name}_images",
            type=int,
            default=argparse.SUPPRESS,
            help=f"with --{name}: only the first so many images (default: {some})",
        )
        _add_options(parser, name, options)


def _add_options(
    parser: ScriptParser, name: str, options: dict[str, tuple[Any, Any, str]]
) -> None:
    for option, (annotation, default, line) in options.items():
        when = name if name in ALWAYS else f"with --{name}"
        line = line[:1].lower() + line[1:]
        shown = "" if default is None else f" (default: {str(default).lower()})"
        parser.add_argument(
            f"--{name}_{option}",
            type=annotation,
            default=argparse.SUPPRESS,  # so that the help shows the part's own
            help=f"{when}: {line}{shown}",
        )


def _always_with_options() -> list[str]:
    return [name for name in ALWAYS if name != "bounds"]  # whose option is --elbo_samples


def take_parts(options: dict[str, Any]) -> tuple[list[Part], bool]:
    """Takes the parts and their options out of the parsed options.

    Returns:
        The parts that are asked for, those of every evaluation that have options among them, and
        whether all were.

    Raises:
        ValueError: If there is an option of a part that is not asked for, or a value is no good.
    """
    asked, everything = [], options.pop("all")
    for name in _always_with_options():
        kind = part_class(name)
        asked.append(kind(**_given(options, name, kind)))
    for name in PARTS:
        kind = part_class(name)
        flag, images = options.pop(name), options.pop(f"{name}_images", None)
        given = _given(options, name, kind)
        if not (flag or flag == [] or everything):
            unused = [*given, *(["images"] if images is not None else [])]
            if unused:
                raise ValueError(f"--{name}_{unused[0]} changes nothing without --{name}")
            continue
        if kind.values is not None and flag:
            given[kind.values] = flag
        part = kind(**given)
        if images is not None:
            if images < 1:
                raise ValueError(f"{name}_images must be at least 1, got {images}")
            part.images = images
        asked.append(part)
    return asked, everything


def _given(options: dict[str, Any], name: str, kind: type[Part]) -> dict[str, Any]:
    """The arguments of a part that were given."""
    return {
        option: value
        for option in _arguments(kind)
        if (value := options.pop(f"{name}_{option}", None)) is not None
    }


def _arguments(kind: type[Part]) -> dict[str, tuple[Any, Any, str]]:
    """The type, the default and the line of help of each argument of a part's constructor."""
    if kind.__init__ is object.__init__:
        return {}
    hints = get_type_hints(kind.__init__)
    lines = {
        line.arg_name: " ".join((line.description or "").split()).rstrip(".")
        for line in parse(inspect.getdoc(kind) or "").params
    }
    return {
        name: (hints[name], parameter.default, lines.get(name, ""))
        for name, parameter in inspect.signature(kind).parameters.items()
    }


def _one_of(annotation: Any) -> Any:
    """The type of an element, of ``list[int]`` or ``list[int] | int``."""
    for choice in (annotation, *get_args(annotation)):
        if get_origin(choice) is list:
            return get_args(choice)[0]
    return annotation
