r"""Maths as MathML, by docutils: browsers draw it themselves, and no script or font is fetched."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

__all__ = ["mathml", "setup"]

LOGGER = logging.getLogger(__name__)

IN_OTHER_WORDS = (
    (r"\\textstyle\s*", ""),
    (r"\\(tilde|hat|bar|vec|dot)\s*(\\?[a-zA-Z]+|\{[^{}]*\})(?=\s*[_^])", r"{\\\1{\2}{}}"),
    (
        r"\\(log|exp|min|max|sin|cos)(?![a-zA-Z_^])\s*(?=\\?[a-zA-Z])(?!\\([bB]ig|left))",
        r"\\\1\\,",
    ),
    (r"\\dots(?![a-z])", r"\\ldots"),
    (r"\\(big|Big|bigg|Bigg)(?![a-zA-Z])(?=\s*(?:\)|\]|\\\}|\\rangle|\\rfloor))", r"\\\1r"),
    (r"\\(big|Big|bigg|Bigg)(?![a-zA-Z])", r"\\\1l"),
    (r"\\([td]?frac)\s*(\d)\s*(\d)", r"\\\1{\2}{\3}"),
    (r"\\([td]?frac)\s*(\d)\s*(\\?[a-zA-Z]+)", r"\\\1{\2}{\3}"),
)
"""Commands that docutils does not know, or sets badly, as those that it does."""

BAR = '<mo stretchy="false" lspace="0.06em" rspace="0.06em">|</mo>'
"""Browsers would put spaces around it, as around a relation."""


def mathml(tex: str, block: bool) -> str:
    """A formula in LaTeX as a ``<math>`` element.

    Raises:
        MathError: If it holds what docutils does not know.
    """
    for pattern, better in IN_OTHER_WORDS:
        tex = re.sub(pattern, better, tex)
    made = tex2mathml(tex, as_block=block)
    return made.replace('<mo stretchy="false">|</mo>', BAR)


def _visit(self: Any, node: nodes.Element, block: bool) -> None:
    try:
        made = mathml(node.astext(), block)
    except (MathError, AttributeError) as error:
        LOGGER.warning("no MathML of %r: %s", node.astext(), error, location=node, type="mathml")
        made = f"<code>{self.encode(node.astext())}</code>"
    self.body.append(f'<div class="math">{made}</div>' if block else made)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Makes it the renderer ``mathml``."""
    try:
        app.add_html_math_renderer(
            "mathml",
            (lambda self, node: _visit(self, node, block=False), None),
            (lambda self, node: _visit(self, node, block=True), None),
        )
    except ExtensionError as error:  # pragma: no cover
        raise ExtensionError(f"another renderer has its name: {error}") from error
    return {"parallel_read_safe": True, "parallel_write_safe": True}
