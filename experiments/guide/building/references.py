"""What a cross reference means that finds nothing in the reference.

Docstrings also speak of what is not public, and of torch's classes: these stay text, if there is such
a thing. On the guide's own pages every reference must resolve.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

__all__ = ["exists", "setup"]


def exists(name: str) -> bool:
    """Whether a dotted name of this library names a module, class, function or attribute."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            held: Any = import_module(".".join(parts[:end]))
        except ImportError:
            continue
        try:
            for part in parts[end:]:
                held = getattr(held, part)
        except AttributeError:
            return False
        return True
    return False


def _text_of(app: Sphinx, env: Any, node: Any, contnode: nodes.Element) -> nodes.Element | None:
    """The text of a reference without a target, or None, which is a warning."""
    if node.get("refdomain") != "py" or not node["refdoc"].startswith("reference/"):
        return None
    target: str = node["reftarget"]
    own = target == "vae" or target.startswith("vae.")
    return contnode if not own or exists(target) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Listens to references that nothing else resolves."""
    app.connect("missing-reference", _text_of, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
