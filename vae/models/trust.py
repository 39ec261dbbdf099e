"""Whether a class that a file names may be imported: to import a module runs its code.

The classes that are *defined* in this library, its estimators by their paper names, and torch's
optimisers and learning-rate schedulers may be; any other module only if the user names it
(``--trust mine``, or ``VAE_TRUST=mine``). The beginning of a name proves nothing:
``vae.cli.app.os.system`` is not ours, and ``vae.load`` would do what a file tells it. So a name is
judged before anything is imported, and what it led to afterwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import jsonargparse

from vae.models.parts import current_name

__all__ = [
    "allow_current_folder",
    "assert_trusted",
    "class_names",
    "foreign_modules",
    "resolve",
    "trusting",
]

OWN = ("vae", "torch.optim")
"""Modules whose classes are trusted."""

DOING = ("vae.cli", "vae.run")
"""Rooms of this library that hold no parts: their classes read, write and start things."""

LONGEST_TEXT = 10_000
"""Characters of an option that is looked at as YAML."""

_TRUSTED: ContextVar[tuple[str, ...]] = ContextVar("trusted", default=())


@contextmanager
def trusting(modules: Sequence[str] | None) -> Iterator[None]:
    """Within it, modules that the user names are trusted too.

    Raises:
        ValueError: If one is no module's name.
    """
    for name in modules or ():
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"trust {name!r}: give the name of a module, such as mine")
    token = _TRUSTED.set((*_TRUSTED.get(), *(modules or ())))
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def allow_current_folder() -> None:
    """Lets modules be found in the current folder, after all that are installed."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())


def _trusted(also: Sequence[str]) -> tuple[str, ...]:
    return (*OWN, *also, *_trusted_by_user())


def _trusted_by_user() -> tuple[str, ...]:
    named = os.environ.get("VAE_TRUST", "").replace(",", " ").split()
    return (*_TRUSTED.get(), *named)


def _inside(name: str, modules: Sequence[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def assert_trusted(content: Any, source: object, also: Sequence[str] = ()) -> None:
    """Refuses a file's contents if they name a class of a module that is not trusted.

    Such a module is not imported.

    Arguments:
        content: Plain values; mappings with a ``class_path``, at any depth, name classes.
        source: The file, for the message.
        also: Modules that are trusted in this kind of file too.

    Raises:
        ValueError: Naming the first one.
    """
    allow_current_folder()  # what is not found now must not be found later
    try:
        names = list(_names(content))
    except ValueError as error:
        raise ValueError(f"{source} holds {error}") from None
    for path, is_class in names:
        name = current_name(path)
        modules = _trusted(also)
        if not is_class and (not _is_there(name) or (_inside(name, modules) and not _leads(name))):
            continue  # a text that happens to have a dot in it
        if not _inside(name, modules):
            root = _to_trust(name)
            raise ValueError(
                f"{source} names {path}: to load it would run the module {root}; if you trust it,"
                f" add --trust {root} (or set VAE_TRUST={root})"
            )
        _found(name, source, modules)


def _is_there(name: str) -> bool:
    """Whether a dotted name begins with a module that is there. It is not imported."""
    try:
        return find_spec(name.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _leads(name: str) -> bool:
    """Whether a text in a trusted module is a name, an attribute's of a module's attribute too."""
    with suppress(ValueError):
        return bool(_import(name.rpartition(".")[0]))
    package, _, last = name.rpartition(".")[0].rpartition(".")
    with suppress(ValueError):
        return hasattr(_import(package), last)
    return False


def _import(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise ValueError(str(error)) from None


def class_names(content: Any) -> list[str]:
    """The classes that plain values, or a parsed configuration, name."""
    if hasattr(content, "as_dict"):
        content = content.as_dict()
    return [name for name, is_class in _names(content) if is_class]


def foreign_modules(content: Any) -> list[str]:
    """The modules that a user must trust before the classes that plain values name are made."""
    names = map(current_name, class_names(content))
    return sorted({_to_trust(name) for name in names if not _inside(name, OWN)})


def _to_trust(name: str) -> str:
    """The module that a class is trusted by: its outermost, of torch the one that it is in."""
    root = name.partition(".")[0]
    return name.rpartition(".")[0] if root == "torch" else root


def _names(content: Any) -> Iterator[tuple[str, bool]]:
    """The names of classes in plain values, and texts that could be one."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if key == "class_path":
                yield str(value).strip(), True
            else:
                yield from _names(value)
    elif isinstance(content, (list, tuple, set, frozenset)):
        for value in content:
            yield from _names(value)
    elif isinstance(content, str):
        yield from _names_in_text(content)


def _names_in_text(text: str) -> Iterator[tuple[str, bool]]:
    """Those that a text is, or holds: the parser takes a text for YAML, where it can."""
    if "." in text and all(part.isidentifier() for part in text.strip().split(".")):
        yield text.strip(), False
    if not set(text) & set("{[\"'\n:"):
        return
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(text)} characters, where an option is expected")
    try:
        loaded = jsonargparse.get_loader("yaml")(text)  # the parser's own: another one may differ
    except RecursionError:
        raise ValueError("YAML of too many levels, where an option is expected") from None
    except Exception:  # which the parser would not take for YAML either
        return
    if isinstance(loaded, (Mapping, list)) and "&" in text:  # it can be larger than it looks
        raise ValueError("YAML with anchors, where an option is expected")
    if loaded != text:
        yield from _names(loaded)


def _found(name: str, source: object, modules: Sequence[str]) -> Any:
    """The object of a name in a trusted module, if it is defined in one too."""
    wrong = f"{source} names {name}"
    try:
        thing, package = _looked_up(name, modules)
    except ModuleNotFoundError as error:
        package = name.rpartition(".")[0]
        if error.name and not _inside(package, [error.name]):
            raise ValueError(f"{wrong}, whose module cannot be imported: {error}") from None
        raise ValueError(
            f"{wrong}, and there is no module {package}: install it, or run this from the folder"
            " that holds it"
        ) from None
    except (AttributeError, ValueError):
        raise ValueError(f"{wrong}, which is not there") from None
    if not callable(thing) or not _is_defined_in(thing, modules):
        raise ValueError(f"{wrong}, which is not defined in {package.partition('.')[0]}: refused")
    if not _is_defined_in(thing, _trusted_by_user()) and not _is_part(thing):
        raise ValueError(f"{wrong}, which is no class of a part: refused")
    return thing


def _looked_up(name: str, modules: Sequence[str]) -> tuple[Any, str]:
    """The object of a name, and its module: an attribute of one, or of a class that is."""
    package, _, last = name.rpartition(".")
    try:
        return getattr(import_module(package), last), package
    except ModuleNotFoundError as error:
        outer, _, class_name = package.rpartition(".")
        if error.name != package or not outer:
            raise
        holder = getattr(import_module(outer), class_name, None)
        if not isinstance(holder, type) or not _is_defined_in(holder, modules):
            raise
        return getattr(holder, last), outer


def _is_defined_in(thing: Any, modules: Sequence[str]) -> bool:
    defined = getattr(thing, "__module__", None)
    return isinstance(defined, str) and _inside(defined, modules)


def _is_part(thing: Any) -> bool:
    """Whether it is a class, of which only instances are made, or an estimator by its paper name."""
    if isinstance(thing, type):
        return not _inside(thing.__module__, DOING)
    from vae.estimators import ESTIMATORS  # torch: by here it was imported for the thing itself

    return any(thing is maker for maker in ESTIMATORS.values())


def resolve(path: str, base: type, source: object) -> Any:
    """The class of a name in a file.

    Raises:
        ValueError: If its module is not trusted, it is not there, or it is no subclass of
            ``base``.
    """
    assert_trusted({"class_path": path}, source)
    thing = _found(current_name(path), source, _trusted(()))
    if not isinstance(thing, type) or not issubclass(thing, base):
        raise ValueError(f"{source} names {path}, which is no {base.__name__}")
    return thing
