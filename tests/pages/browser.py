"""A headless Chromium that opens our pages, and what it may not find in them."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def chromium():
    """The path of an installed Chromium; the test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")


@contextmanager
def opened(browser, path, viewport=DESKTOP, scheme="light", **options):
    """A page of one file; fails if it writes an error to its console, or asks for anything."""
    context = browser.new_context(viewport=viewport, color_scheme=scheme, **options)
    page = context.new_page()
    wrong = []
    page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda r: (
            r.url.startswith(("data:", "blob:", "file:")) or wrong.append(f"asked for {r.url}")
        ),
    )
    asked = []
    page.on("request", lambda r: r.url.startswith("file:") and asked.append(r.url))
    page.goto(path.resolve().as_uri())
    try:
        yield page
        assert not wrong, wrong
        assert len(asked) == 1, f"asked for files beside it: {asked[1:]}"
    finally:
        context.close()


def fits(page):
    """Whether nothing is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def names_missing(page):
    """Controls that a screen reader could not name."""
    return page.evaluate("""() => [...document.querySelectorAll('button, select, input, canvas[tabindex], [role=slider]')]
        .filter(e => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
                       || e.textContent.trim() || (e.labels && e.labels.length)))
        .map(e => e.outerHTML.slice(0, 80))""")
