"""What options are by default, read from the source: nothing is imported, and no file's code runs.

So a report can say which options of a run were chosen, of classes that nobody trusts too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import vae
from vae.models.parts import current_name

__all__ = ["EPOCHS", "FIT", "TRAINER", "changed", "defaults_of"]


EPOCHS = 50
"""The length of a run that sets neither ``max_epochs`` nor ``max_steps``."""

TRAINER: dict[str, Any] = {"devices": 1, "num_sanity_val_steps": 0, "enable_model_summary": False}
"""What ``vae fit`` gives Lightning's trainer by default."""

FIT: dict[str, Any] = {
    "name": "vae",
    "group": None,
    "tags": [],
    "image_every": 10,
    "report": True,
    "checkpoint_every_n_steps": None,
    "checkpoint_every_n_minutes": 10.0,
    "float32_matmul_precision": "highest",
}
"""The options of ``vae fit`` itself."""

LIGHTNING = "lightning.pytorch.trainer.trainer.Trainer"

SEEN = ("seed_everything", "ckpt_path", "weights_only")
"""Options that are told elsewhere."""


def changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run that are not what they are by default, by dotted names.

    A class is named without its module; of a class whose source is not found, all options count.

    Arguments:
        config: What ``config.yaml`` holds.
    """
    trainer = {"max_epochs": EPOCHS, **(defaults_of(LIGHTNING) or {}), **TRAINER}
    trainer["max_epochs"] = EPOCHS
    found: dict[str, Any] = {}
    for name, value in config.items():
        if name == "trainer" and isinstance(value, Mapping):
            found |= _differing("trainer", value, trainer)
        elif name not in SEEN and not (name in FIT and value == FIT[name]):
            found |= _of_part(name, value)
    return found


def _differing(
    prefix: str, given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in defaults or _plain(defaults[name]) != _plain(value):
            found |= _of_part(f"{prefix}.{name}", value)
    return found


def _of_part(name: str, value: Any) -> dict[str, Any]:
    """An option; of a class its name, and its own options that differ."""
    if not isinstance(value, Mapping) or not isinstance(value.get("class_path"), str):
        return {name: value}
    path = value["class_path"]
    given = value.get("init_args")
    own = _differing(name, given, defaults_of(path) or {}) if isinstance(given, Mapping) else {}
    return {name: path.rpartition(".")[2], **own}


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


@cache
def defaults_of(path: str) -> dict[str, Any] | None:
    """The defaults of a class's arguments, those of the classes that it passes them on to included.

    Arguments:
        path: The class path, as a configuration has it.

    Returns:
        Names to plain values, without arguments whose default is none; None if the source of the
        class is not found.
    """
    path = current_name(path)
    module, _, name = path.rpartition(".")
    if module == "vae":
        module = vae.PLACES.get(name, "")
    return _of_class(module, name)


def _of_class(module: str, name: str, depth: int = 0) -> dict[str, Any] | None:
    tree = _parsed(module) if depth < 9 else None
    if tree is None:
        return None
    places = _imported(tree, module)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _of_definition(node, module, places, depth)
    if name in places and places[name] != (module, name):  # it is only passed on from here
        return _of_class(*places[name], depth + 1)
    return None


def _of_definition(
    node: ast.ClassDef, module: str, places: Mapping[str, tuple[str, str]], depth: int
) -> dict[str, Any]:
    own = next(
        (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"),
        None,
    )
    found: dict[str, Any] = {}
    if own is None or own.args.kwarg is not None:  # inherited, or passed on
        for base in reversed(node.bases):  # the first one counts
            base = base.value if isinstance(base, ast.Subscript) else base
            if isinstance(base, ast.Name):
                place = places.get(base.id, (module, base.id))
                found |= _of_class(*place, depth + 1) or {}
    if own is None:
        return found
    found |= _passed_on(own, module, places)
    own_values = _literals(own.args, module)
    return {k: v for k, v in found.items() if k not in _names(own.args)} | own_values


def _names(given: ast.arguments) -> list[str]:
    return [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


def _literals(given: ast.arguments, module: str) -> dict[str, Any]:
    """The defaults of arguments that are plain values, or names of such in the module."""
    names = [*given.posonlyargs, *given.args]
    pairs = list(zip(reversed(names), reversed(given.defaults), strict=False))
    pairs += [(a, d) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True) if d]
    found: dict[str, Any] = {}
    for argument, default in pairs:
        with suppress(ValueError, LookupError, ZeroDivisionError):
            found[argument.arg] = _value(default, module)
    return found


def _value(node: ast.expr, module: str, depth: int = 0) -> Any:
    """The value of a constant expression.

    Raises:
        LookupError: If a name in it is not that of a constant.
        ValueError: If it is no constant expression.
    """
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return _value(node.left, module) / _value(node.right, module)
    if not isinstance(node, ast.Name):
        return ast.literal_eval(node)
    tree = _parsed(module) if depth < 9 else None
    if tree is None:
        raise LookupError(node.id)
    places = _imported(tree, module)
    if node.id in places:
        place, name = places[node.id]
        return _value(ast.Name(name), place, depth + 1)
    values = [
        one.value
        for one in tree.body
        if isinstance(one, ast.Assign)
        and any(isinstance(to, ast.Name) and to.id == node.id for to in one.targets)
    ]
    return _value(values[-1], module, depth + 1)


def _passed_on(
    own: ast.FunctionDef, module: str, places: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """The defaults of a function that a constructor hands its further arguments to."""
    found: dict[str, Any] = {}
    for call in (node for node in ast.walk(own) if isinstance(node, ast.Call)):
        handed = [k.value for k in call.keywords if k.arg is None]
        if own.args.kwarg is None or not isinstance(call.func, ast.Name):
            continue
        if any(isinstance(value, ast.Name) and value.id == own.args.kwarg.arg for value in handed):
            place, name = places.get(call.func.id, (module, call.func.id))
            tree = _parsed(place)
            for node in tree.body if tree else []:
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    found |= _literals(node.args, place)
    return found


@cache
def _parsed(module: str) -> ast.Module | None:
    source = _source(module)
    if source is None:
        return None
    try:
        return ast.parse(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return None


def _imported(tree: ast.Module, module: str) -> dict[str, tuple[str, str]]:
    """Names that a module imports, to the modules that they are from and their names there."""
    found: dict[str, tuple[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            package = module.rsplit(".", node.level)[0] if node.level else ""
            source = ".".join(part for part in (package, node.module or "") if part)
            for alias in node.names:
                found[alias.asname or alias.name] = (source, alias.name)
    return found


def _source(module: str) -> Path | None:
    """The file of a module, found without importing it or the packages that it is in."""
    root, *inner = module.split(".")
    if root in sys.modules and getattr(sys.modules[root], "__file__", None):
        base = Path(str(sys.modules[root].__file__))
    else:
        try:
            spec = find_spec(root) if root else None
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin is None:
            return None
        base = Path(spec.origin)
    if not inner:
        return base
    path = base.parent.joinpath(*inner)
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None
