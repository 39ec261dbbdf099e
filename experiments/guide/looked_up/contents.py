"""Lists of pages, with the description that each carries."""

from __future__ import annotations

import re
from pathlib import Path

from IPython.display import Markdown

__all__ = ["contents", "front_matter"]

GUIDE = Path(__file__).resolve().parent.parent


def front_matter(page: Path) -> dict[str, str]:
    """What stands between the two lines of dashes that a page begins with."""
    import yaml

    found = re.match(r"---\n(.*?)\n---\n", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return yaml.safe_load(found[1]) if found else {}


def contents(*pages: str) -> Markdown:
    """A list of links to pages, or to those of folders, each with its description.

    Arguments:
        pages: Such as ``chapters`` or ``numbers``.
    """
    lines = []
    for name in pages:
        folder = GUIDE / name
        files = sorted(folder.glob("*.md")) if folder.is_dir() else [GUIDE / f"{name}.md"]
        for number, file in enumerate(files, 1):
            heading = re.search(r"^# (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading is not None, f"{file.name} has a heading"
            bullet = f"{number}." if name == "chapters" else "-"
            link = file.relative_to(GUIDE).as_posix()
            lines.append(f"{bullet} [{heading[1]}]({link}): {front_matter(file)['description']}")
    return Markdown("\n".join(lines))
