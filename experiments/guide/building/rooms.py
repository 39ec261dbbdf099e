"""The reference: every public name of a folder of the library, file by file.

``.. room:: estimators`` stands for what ``vae`` exports from ``vae.estimators``: of each file the
docstring that derives it, then its public classes and functions.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from torch import nn

import vae

__all__ = ["files_of", "setup"]


def files_of(room: str) -> dict[str, list[str]]:
    """Public names of a folder or file of ``vae``, by the module that defines them.

    Arguments:
        room: Such as ``estimators``, ``models.latents`` or ``models.vae``.
    """
    found: dict[str, list[str]] = {}
    for name, place in vae.PLACES.items():
        if place == f"vae.{room}" or place.startswith(f"vae.{room}."):
            found.setdefault(_home(name, place), []).append(name)
    return dict(sorted(found.items(), key=lambda file: (not file[0].endswith(".base"), file[0])))


def _home(name: str, place: str) -> str:
    """The module that defines a name; a constant does not know its own."""
    held = getattr(vae, name)
    if hasattr(held, "__module__"):
        return held.__module__
    for module in pkgutil.iter_modules(import_module(place).__path__, f"{place}."):
        if ("", name) in _constants(module.name):
            return module.name
    return place


def _constants(module: str) -> dict[tuple[str, str], list[str]]:
    """The docstrings below a module's constants."""
    try:
        analyzer = ModuleAnalyzer.for_module(module)
    except PycodeError:
        return {}
    analyzer.analyze()
    return analyzer.attr_docs


class Room(SphinxDirective):
    """Everything public of some folders."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        for room in self.arguments[0].split():
            files = files_of(room)
            if not files:
                raise self.error(f"vae exports nothing from vae.{room}")
            for module, names in files.items():
                lines += _file(module, names)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _file(module: str, names: list[str]) -> Iterator[str]:
    title = module.removeprefix("vae.").replace(".", "/") + ".py"
    yield from (title, "-" * len(title), "", f".. automodule:: {module}", "   :no-members:", "")
    for name in names:
        held = getattr(vae, name)
        if inspect.isclass(held):
            yield from (f".. autoclass:: vae.{name}", "   :members:", "   :show-inheritance:")
            yield from (f"   :exclude-members: {', '.join(getattr(held, '_fields', ()))}", "")
        elif callable(held):
            yield from (f".. autofunction:: vae.{name}", "")
        else:
            yield from (f".. py:data:: {name}", "   :module: vae")
            yield from (f"   :canonical: {module}.{name}", "")
            yield from (f"   {line}" for line in _constants(module)["", name])


def _signature(
    app: Sphinx,
    kind: str,
    name: str,
    held: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """A class whose constructor is torch's own takes no arguments."""
    if inspect.isclass(held) and getattr(held, "__init__", None) is nn.Module.__init__:
        return "()", returns
    return signature, returns


def _keep(app: Sphinx, kind: str, name: str, held: Any, options: Any, lines: list[str]) -> None:
    """Keeps a property's docstring from napoleon, which takes what is before a colon for a type."""
    KEPT[name] = list(lines)


def _give_back(
    app: Sphinx, kind: str, name: str, held: Any, options: Any, lines: list[str]
) -> None:
    if kind in ("attribute", "data", "property"):
        lines[:] = KEPT[name]


KEPT: dict[str, list[str]] = {}


def setup(app: Sphinx) -> dict[str, bool]:
    """Makes it the directive ``room``."""
    app.add_directive("room", Room)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _keep, priority=400)  # napoleon has 500
    app.connect("autodoc-process-docstring", _give_back, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
