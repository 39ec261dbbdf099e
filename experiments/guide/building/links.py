"""Follows every link of the site when it is built: pages and places inside, a list of those outside."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlparse

from sphinx.application import Sphinx
from sphinx.util import logging

__all__ = ["Page", "broken", "setup"]

LOGGER = logging.getLogger(__name__)

THEME = ("https://www.sphinx-doc.org", "https://pradyunsg.me", "https://github.com/pradyunsg/furo")
"""What the theme's last line thanks."""

FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
}
"""What a browser fetches without being asked."""


class Page(HTMLParser):
    """Links, places and what is fetched, of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if not value:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.places.add(value)
            elif (tag, name) in FETCHED:
                self.fetched.append(value)
            elif tag == "a" and name == "href":
                self.links.append(value)


def broken(site: Path, listed: set[str]) -> list[str]:
    """What is wrong with the links of a site, a line each.

    Arguments:
        site: A folder of HTML pages.
        listed: The links that may leave it.
    """
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        here = path.relative_to(site).as_posix()
        for address in page.fetched:
            if urlparse(address).scheme in ("http", "https") or address.startswith("//"):
                found.append(f"{here} fetches {address}")
            elif not address.startswith("data:") and not _file(path, address).exists():
                found.append(f"{here} fetches {address}, which is not there")
        for address in page.links:
            if urlparse(address).scheme in ("http", "https"):
                if address not in listed and not address.startswith(THEME):
                    found.append(
                        f"{here} links to {address}, which external-links.txt does not list"
                    )
                continue
            if urlparse(address).scheme:
                continue
            target, place = _file(path, address), unquote(urldefrag(address).fragment)
            if not target.exists():
                found.append(f"{here} links to {address}: there is no such file")
            elif place and target in pages and place not in pages[target].places:
                found.append(f"{here} links to {address}: there is no such place")
    return found


def _file(page: Path, address: str) -> Path:
    """The file that a relative address means on a page."""
    path = unquote(urldefrag(address).url).partition("?")[0]
    found = (page.parent / path).resolve() if path else page
    return found / "index.html" if found.is_dir() else found


def _check(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        listed = set((app.srcdir / "external-links.txt").read_text(encoding="utf-8").split())
        for line in broken(Path(app.outdir).resolve(), listed):
            LOGGER.warning("%s", line, type="links")


def _forget_sources(app: Sphinx) -> None:
    """Has viewcode write all its pages again: it keeps old ones, without the places that are new."""
    shutil.rmtree(Path(app.outdir) / "_modules", ignore_errors=True)


def _lead_back(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Leads from a source to the name in the reference: viewcode takes all of a file for one module's."""
    if pagename.startswith("_modules/"):
        known = app.env.domains.python_domain.objects

        def place(found: re.Match[str]) -> str:
            last = found[1].rpartition(".")[2]
            same = [
                name for name in known if name.endswith(f".{last}") and not known[name].aliased
            ]
            return found[0] if found[1] in known or len(same) != 1 else f'#{same[0]}"'

        context["body"] = re.sub(r'#(vae\.[\w.]+)"', place, context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Looks at all links when the site is there."""
    app.connect("builder-inited", _forget_sources)
    app.connect("html-page-context", _lead_back)
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
