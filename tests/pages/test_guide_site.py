"""The guide as a site: it is built without a warning, and asks for nothing outside itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import DESKTOP, PHONE, fits

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


@pytest.fixture(scope="module")
def site(once):
    pytest.importorskip("furo", reason="the extra docs is not installed")

    def build(folder):
        kept = folder.parent / "guide-executed"
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
            + ["-d", folder.parent / "guide-read", "-D", f"nb_execution_cache_path={kept}"]
            + [ROOT / "experiments" / "guide", folder],
            env=os.environ | {"GUIDE_FAST": "1"},
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return once("guide", build)


def sticking_out(page):
    """What is wider than the window, and in no box of its own that scrolls: the theme's column would."""
    return page.evaluate("""() => {
        const scrolls = e => {
            for (; e && e.tagName !== 'ARTICLE'; e = e.parentElement)
                if (['auto', 'scroll'].includes(getComputedStyle(e).overflowX)) return true;
            return false;
        };
        return [...document.querySelectorAll('article *')]
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e))
            .map(e => e.outerHTML.slice(0, 80));
    }""")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_fit_and_ask_for_nothing_outside(site, browser, viewport, scheme):
    pages = sorted(path for path in site.rglob("*.html") if "_modules" not in path.parts)
    assert len(pages) > 30
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page, wrong = context.new_page(), []
    page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: r.url.startswith(("file:", "data:")) or wrong.append(r.url))
    for path in pages:
        page.goto(path.resolve().as_uri())
        assert fits(page), f"{path.name} is wider than {viewport['width']} pixels"
        assert not sticking_out(page), f"{path.name}: {sticking_out(page)[:3]}"
        assert not wrong, f"{path.name}: {wrong}"
    context.close()


def test_a_public_name_leads_to_its_source(site):
    page = (site / "reference" / "estimators.html").read_text()
    assert 'id="vae.RLOO"' in page
    assert "_modules/vae/estimators/score_function.html#RLOO" in page
    assert (
        'id="RLOO"'
        in (site / "_modules" / "vae" / "estimators" / "score_function.html").read_text()
    )
