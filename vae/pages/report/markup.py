"""Pieces of a report's HTML: text is escaped here, and nowhere else."""

from __future__ import annotations

import html
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Cell",
    "Section",
    "code",
    "command",
    "data_value",
    "note",
    "number",
    "paragraph",
    "render",
    "safe",
    "table",
]


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        html: What it shows.
        kind: Its class in the style sheet.
        value: The number that it shows, as its file has it.
    """

    html: str
    kind: str = ""
    value: float | None = None


class Section(NamedTuple):
    """A part of a page.

    Attributes:
        name: Of its place in the page, ``#name``.
        title: Its heading.
        html: What it holds.
        beside: Sections of the same word in a row stand beside each other where there is room.
    """

    name: str
    title: str
    html: str
    beside: str = ""


def number(text: str, value: float | None = None) -> Cell:
    """A cell that holds a number."""
    return Cell(html.escape(text), "number", value)


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def note(text: str, done_by: str = "") -> str:
    """A line of little weight; what is missing, with the command to run."""
    made = f": run {code(done_by)}" if done_by else ""
    return f'<p class="muted">{html.escape(text)}{made}</p>'


def code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def command(verb: str, run: Path, *words: str) -> str:
    """A command of ``vae`` for a run."""
    return " ".join(["vae", verb, shlex.quote(str(run)), *words])


def table(head: Sequence[str], rows: Iterable[Sequence[str | Cell]], label: str) -> str:
    """A table that scrolls sideways where it is wider than the window.

    Arguments:
        head: Names of columns; those of numbers end in ``>``.
        rows: Their cells; the first of each is its name. Texts are escaped.
        label: What the table is of, for who does not see it.
    """
    names = "".join(
        f'<th scope="col"{" class=number" if name.endswith(">") else ""}>{html.escape(name.removesuffix(">"))}</th>'
        for name in head
    )
    body = "".join(f"<tr>{_row(row)}</tr>\n" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(label)}">'
        f"<table><thead><tr>{names}</tr></thead><tbody>\n{body}</tbody></table></div>"
    )


def _row(row: Sequence[str | Cell]) -> str:
    cells = [one if isinstance(one, Cell) else Cell(html.escape(one)) for one in row]
    return "".join(
        f"<{tag}{_attributes(cell)}>{cell.html}</{tag.split()[0]}>"
        for place, cell in enumerate(cells)
        for tag in ['th scope="row"' if place == 0 else "td"]
    )


def _attributes(cell: Cell) -> str:
    kind = f' class="{cell.kind}"' if cell.kind else ""
    return kind + data_value(cell.value)


def data_value(value: float | None) -> str:
    """The attribute that holds a number as its file has it, be it no number."""
    return "" if value is None else f' data-value="{html.escape(repr(value))}"'


def figures(content: Mapping[str, str]) -> str:
    """Elements side by side where there is room, each with its caption."""
    each = "".join(
        f"<figure>{element}<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, element in content.items()
    )
    return f'<div class="grid">{each}</div>'


def safe(name: str, make: Callable[[], Section]) -> Section:
    """A section; of a file that was edited, a line in its place."""
    try:
        return make()
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        why = " ".join(str(error).split())
        line = note(
            f"Not shown: a file was edited, or is of another version ({type(error).__name__}: {why})."
        )
        return Section(name, name.capitalize(), line)


def render(lead: str, sections: Sequence[Section]) -> str:
    """The body of a page: a lead, the list of its sections, and these."""
    links = "".join(f'<a href="#{s.name}">{html.escape(s.title)}</a>' for s in sections)
    parts, row = [], ""
    for s in sections:
        if s.beside != row:
            parts.append("</div>" * bool(row) + '<div class="pair">' * bool(s.beside))
            row = s.beside
        parts.append(
            f'<section id="{s.name}" aria-labelledby="{s.name}-title">'
            f'<h2 id="{s.name}-title">{html.escape(s.title)}</h2>\n{s.html}\n</section>\n'
        )
    parts.append("</div>" * bool(row))
    return f'{lead}\n<nav class="row" aria-label="Sections">{links}</nav>\n{"".join(parts)}'
