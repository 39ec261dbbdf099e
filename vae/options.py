"""Options that are passed on to a constructor as a mapping, and that no parser has looked at."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["assert_choices", "assert_options", "names_of"]


def assert_choices(constructor: type, **values: Any) -> None:
    """Refuses values that are none of those that a constructor's ``Literal`` arguments name.

    Raises:
        ValueError: If one is not.
    """
    types = get_type_hints(constructor.__init__)  # type: ignore[misc]
    for name, value in values.items():
        if not _fits(value, types[name]):
            choices = ", ".join(map(str, get_args(types[name])))
            raise ValueError(f"unknown {name} {value!r}: choose from {choices}")


def assert_options(
    what: str, constructor: Callable[..., Any], options: Mapping[str, Any], *own: str
) -> None:
    """Refuses options that a constructor does not take, or not with such a value.

    Arguments:
        what: What is constructed, for the message.
        constructor: A class or a function.
        options: Names and values.
        own: Arguments that are no options.

    Raises:
        ValueError: If a name is unknown, a value is of the wrong type or not finite, or a count
            (every whole number is one) is less than 1.
    """
    accepted = [name for name in names_of(constructor) if name not in own]
    source = constructor.__init__ if inspect.isclass(constructor) else constructor
    types = get_type_hints(source)
    for name, value in options.items():
        if not isinstance(name, str) or name not in accepted:
            raise ValueError(
                f"{what} has no option {name!r}: it takes {', '.join(accepted) or 'none'}"
            )
        if not _fits(value, types.get(name, Any)):
            kind = getattr(types[name], "__name__", types[name])
            raise ValueError(f"{what}: {name} must be {kind}, got {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{what}: {name} must be finite, got {value}")
        if isinstance(value, int) and not isinstance(value, bool) and types.get(name) is int:
            if not 1 <= value < 2**63:
                raise ValueError(f"{what}: {name} must be at least 1, got {value}")


def names_of(constructor: Callable[..., Any]) -> list[str]:
    """The arguments that a constructor takes by name. A module without a constructor of its own has
    torch's, of ``*args`` and ``**kwargs``: none."""
    found = inspect.signature(constructor).parameters
    return [name for name, p in found.items() if p.kind is p.POSITIONAL_OR_KEYWORD]


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type; what is no plain type is left to the constructor."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_args(kind) and get_origin(kind) not in (list, tuple, dict):
        return any(_fits(value, part) for part in get_args(kind))
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return kind not in (bool, str, type(None)) or isinstance(value, kind)
