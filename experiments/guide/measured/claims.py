"""Tables of a page: the certified claims of some estimators, and others."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from functools import cache

from vae.cli.estimators import HEADERS, rows

__all__ = ["Claims", "Table"]


@cache
def _all() -> dict[str, tuple[str, ...]]:
    return {row[0]: row for row in rows()}


def _cell(text: str) -> str:
    """A cell that is not narrower than a few words, if it has so many."""
    words = html.unescape(re.sub("<[^>]*>", "", text))
    return f'<td style="min-width: {min(len(words) / 2, 9):.0f}em">{text}</td>'


class Table:
    """A table of a page, which scrolls where it is too wide.

    Arguments:
        headers: Plain text.
        rows: Cells in HTML.
    """

    def __init__(self, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        self.headers, self.rows = headers, [list(row) for row in rows]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(header)}</th>" for header in self.headers)
        body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in self.rows)
        return (
            '<div class="table-wrapper" style="overflow-x: auto" tabindex="0"><table class="docutils">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


class Claims(Table):
    """Rows of ``vae estimators``, as a table on a page; papers stand beneath names.

    Arguments:
        names: Of estimators, as in ``vae.ESTIMATORS``.
    """

    def __init__(self, *names: str) -> None:
        shown = [[html.escape(cell) for cell in _all()[name]] for name in names]
        named = [
            [f"<code>{name}</code>" + (f"<br><small>{paper}</small>" if paper else ""), *rest]
            for name, *rest, paper in shown
        ]
        super().__init__(HEADERS[:-1], named)
