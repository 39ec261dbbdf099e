"""Arguments of constructors: checked where no parser has looked at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args, get_type_hints

__all__ = ["checked"]

PLAIN = {bool, int, float, str, type(None)}


def checked(
    what: str, make: Callable[..., Any], options: Mapping[str, Any], *own: str
) -> dict[str, Any]:
    """The options, each as the type that an argument of a class or function has.

    jsonargparse judges the values, as it does on the command line: "7" is an int. Only arguments
    of plain types are options; what is a class or a function is not named in a mapping.

    Arguments:
        what: What is constructed, for messages: "estimator nvil".
        make: A class or a function.
        options: Names and values.
        own: Arguments that are no options.

    Raises:
        ValueError: If an option is unknown, or its value is not of the argument's type.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    hints = get_type_hints(make.__init__ if isinstance(make, type) else make)  # type: ignore[misc]
    kinds = {name: get_args(hint) or (hint,) for name, hint in hints.items()}
    parser = ArgumentParser(exit_on_error=False)
    skip: set[str | int] = {
        name for name, kind in kinds.items() if not PLAIN.issuperset(kind) or name in own
    }
    if isinstance(make, type):
        names = parser.add_class_arguments(make, skip=skip)
    else:
        names = parser.add_function_arguments(make, skip=skip)
    found: dict[str, Any] = {}
    for name, value in options.items():
        if name not in names:
            raise ValueError(
                f"{what} has no option {name!r}: it takes {', '.join(names) or 'none'}"
            )
        try:
            if value is None and type(None) not in kinds[name]:  # the parser takes it for unset
                raise ArgumentError(None, "None")
            found[name] = parser.parse_object({name: value})[name]
        except ArgumentError:
            words = " or ".join(kind.__name__ for kind in kinds[name]).replace("NoneType", "None")
            raise ValueError(f"{what}: {name} must be {words}, got {value!r}") from None
    return found
