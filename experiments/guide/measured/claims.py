"""The certified claims of some estimators, as a table of a page."""

from __future__ import annotations

import html
from functools import cache

from vae.cli.estimators import HEADERS, rows

__all__ = ["Claims"]


@cache
def _all() -> dict[str, tuple[str, ...]]:
    return {row[0]: row for row in rows()}


class Claims:
    """Rows of ``vae estimators``, as a table on a page.

    Arguments:
        names: Of estimators, as in ``vae.ESTIMATORS``.
    """

    def __init__(self, *names: str) -> None:
        self.rows = [_all()[name] for name in names]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(header)}</th>" for header in HEADERS)
        body = "".join(
            f"<tr><td><code>{row[0]}</code></td>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        return (
            '<div class="table-wrapper" tabindex="0"><table class="docutils">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
