"""Lists every link that leaves the guide, as its pages and the docstrings write them."""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import re
import sys
from pathlib import Path

from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.whole_files import replace_text

__all__ = ["LISTED", "links", "listing"]

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "experiments" / "guide"
LISTED = GUIDE / "external-links.txt"


def links(text: str) -> list[str]:
    """The addresses in a text, without what closes the sentence or the bracket around them."""
    found = []
    for address in re.findall(r"https?://[^\s<>\"'`\\]+", text):
        while address.count(")") > address.count("("):
            address = address.rpartition(")")[0]
        found.append(address.rstrip(".,;:"))
    return [address for address in found if "{" not in address]


def listing() -> str:
    """All of them, a line each."""
    sources = [
        *(ROOT / "vae").rglob("*.py"),
        *(path for path in GUIDE.rglob("*") if path.suffix in (".md", ".rst", ".svg")),
    ]
    found = {address for path in sources for address in links(path.read_text(encoding="utf-8"))}
    return "".join(f"{address}\n" for address in sorted(found - {"http://www.w3.org/2000/svg"}))


if __name__ == "__main__":
    with one_line_errors():
        ScriptParser(description=__doc__).parse_args()
        replace_text(LISTED, listing())
        print(LISTED.relative_to(ROOT), file=sys.stderr)
