"""Says in a line which claims of which pages do not hold, and has these pages read again."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

__all__ = ["failed", "setup"]

LOGGER = logging.getLogger(__name__)


def failed(traceback: str) -> str:
    """The line of a page's cell that raised an error, of the traceback that is kept of it."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", traceback)
    lines = re.findall(r"^-+> +\d+ (.*)$", plain, re.MULTILINE)
    errors = re.findall(r"^(\w+(?:Error|Exception)\b.*)$", plain, re.MULTILINE)
    line = lines[0].strip() if lines else "a cell"
    return f"does not hold: {line}" if "AssertionError" in plain else f"{line}: {errors[-1:]}"


def _reports(app: Sphinx) -> dict[str, Path]:
    """What is kept of pages that failed, by the page's name."""
    folder = Path(app.outdir) / "reports"
    found = sorted(folder.rglob("*.err.log"))
    return {f.relative_to(folder).as_posix().removesuffix(".err.log"): f for f in found}


def _again(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Pages that failed the last time; otherwise a second build would pass them over."""
    pages = []
    for page, report in _reports(app).items():
        report.unlink()
        pages.append(page)
    return [page for page in pages if page in env.found_docs]


def _tell(app: Sphinx, exception: Exception | None) -> None:
    for page, report in _reports(app).items():
        LOGGER.warning(
            "%s", failed(report.read_text(encoding="utf-8")), location=page, type="claim"
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Reads failed pages again, and tells what failed when the site is there."""
    app.connect("env-get-outdated", _again)
    app.connect("build-finished", _tell)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
