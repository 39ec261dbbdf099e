"""Parts by name: from an object to the class path and plain values that make it again.

A class of this library is called by its public name (``vae.OneHot``), which stays when its file
moves; any other by its module and name (``mine.MyEncoder``).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import vae
from vae.recorded import arguments_of

__all__ = ["Undescribable", "current_name", "describe", "public_name"]


class Undescribable(ValueError):
    """There are no plain values that would make this object again."""


def public_name(thing: Any) -> str:
    """The name by which a class or a function can be imported.

    Raises:
        Undescribable: If it has none: a lambda, a local class, or one of the script that runs.
    """
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    if not module or "<" in name:
        raise Undescribable(f"{name or thing!r} has no name of its own: put it into a module")
    if module == "__main__":
        raise Undescribable(f"{name} is defined in the script that runs: put it into a module")
    if vae.PLACES.get(name) and getattr(vae, name) is thing:
        return f"vae.{name}"
    package = module.rpartition(".")[0]
    if package.startswith("vae.") and getattr(sys.modules.get(package), name, None) is thing:
        return f"{package}.{name}"  # what a room offers, whatever file it is in
    return f"{module}.{name}"


def current_name(path: str) -> str:
    """Today's name of a class that a checkpoint or a configuration names.

    Files of this library move; its public names stay.
    """
    package, _, name = path.rpartition(".")
    ours = package == "vae" or package.startswith("vae.")
    return f"vae.{name}" if ours and name in vae.PLACES else path


def describe(value: Any) -> Any:
    """Plain values: an object as ``{"class_path": ..., "init_args": {...}}``, a factory likewise.

    Arguments:
        value: A number, a text, None, a list or a mapping of values; a class or a function; a
            ``functools.partial`` of one; or an object that remembers what it was made with
            (:class:`vae.recorded.Recorded`).

    Raises:
        Undescribable: If it is something else.
    """
    if isinstance(value, Enum):
        return value.name  # by which jsonargparse knows it
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (str, Path)):
        return str(value)
    if isinstance(value, Integral):  # NumPy's too, which no checkpoint may hold
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if is_dataclass(value) and not isinstance(value, type) and arguments_of(value) is None:
        return {field.name: describe(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): describe(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(part) for part in value]
    if isinstance(value, partial):
        made, options = _of_partial(value)
        return {"class_path": public_name(made), "init_args": _described(options)}
    if inspect.isclass(value) or inspect.isfunction(value):
        return {"class_path": public_name(value)}
    arguments = arguments_of(value) if hasattr(value, "__dict__") else None
    if arguments is None:
        raise Undescribable(f"a {type(value).__name__} does not say what it was made with")
    assert_named(type(value), arguments)
    return {"class_path": public_name(type(value)), "init_args": _described(arguments)}


def _described(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options, of which one may be a class itself: a text is one, and a factory too."""
    return {
        name: public_name(value) if inspect.isclass(value) else describe(value)
        for name, value in options.items()
    }


def assert_named(kind: type, arguments: Mapping[str, Any]) -> None:
    """Refuses arguments that a constructor does not take by name.

    Raises:
        Undescribable: If there is one.
    """
    for name, parameter in inspect.signature(kind).parameters.items():
        listed = parameter.kind is parameter.VAR_POSITIONAL and name in arguments
        if listed or parameter.kind is parameter.POSITIONAL_ONLY:
            raise Undescribable(f"{kind.__name__} does not take its {name} by name")


def _of_partial(factory: partial[Any]) -> tuple[Any, dict[str, Any]]:
    """What a partial makes, and the options that it holds. jsonargparse's hold the class among
    their positional arguments."""
    found = [part for part in factory.args if inspect.isclass(part)]
    if factory.func.__module__.startswith("jsonargparse.") and len(found) == 1:
        return found[0], dict(factory.keywords)
    if factory.args:
        raise Undescribable("a partial has positional arguments: give them by name")
    if inspect.isfunction(factory.func):  # of which jsonargparse leaves no argument for later
        needed = inspect.signature(factory).parameters.values()
        if any(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in needed):
            raise Undescribable(
                f"a partial of the function {factory.func.__name__}: make it a class, or a function"
                " without options"
            )
    return factory.func, dict(factory.keywords)
