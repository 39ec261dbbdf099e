"""The shell of the pages: one file, one look."""

import pytest
from browser import DESKTOP, PHONE, fits, names_missing, opened

from vae.pages.page import page
from vae.whole_files import replace_text

BODY = '<h2>Table</h2><div class="scroll"><table><tr><th>a</th><td>1</td></tr></table></div>'


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_page_is_one_file_that_asks_for_nothing(browser, tmp_path, viewport):
    script = (
        "document.body.dataset.seen = JSON.parse(document.getElementById('data').textContent).a;"
    )
    text = page("A <page>", BODY, script=script, data={"a": "</script><b>"})
    replace_text(tmp_path / "page.html", text)
    with opened(browser, tmp_path / "page.html", viewport) as seen:
        assert seen.title() == "A <page>"
        assert seen.evaluate("document.body.dataset.seen") == "</script><b>"
        assert fits(seen) and names_missing(seen) == []
        paper = "getComputedStyle(document.body).backgroundColor"
        light = seen.evaluate(paper)
        seen.get_by_role("button", name="dark").click()
        assert seen.evaluate(paper) != light


def test_the_policy_stops_a_request(browser, tmp_path):
    text = page("Curious", "", script="fetch('http://127.0.0.1:9/').catch(() => {});")
    replace_text(tmp_path / "page.html", text)
    with pytest.raises(AssertionError, match="Content Security Policy"):
        with opened(browser, tmp_path / "page.html"):
            pass


def test_no_script_but_the_pages_own_runs(browser, tmp_path):
    """Whatever a name or a file of a run has brought into the page."""
    run = "document.title = 'ran'"
    body = f'<img src="data:," onerror="{run}"><svg onload="{run}"></svg><script>{run}</script>'
    script = "document.body.dataset.own = 'ran';"
    replace_text(tmp_path / "page.html", page("Quiet", body, script=script))
    with pytest.raises(AssertionError, match="script-src|inline"):
        with opened(browser, tmp_path / "page.html") as seen:
            seen.wait_for_load_state()
            assert seen.evaluate("document.body.dataset.own") == "ran"
            title = seen.title()
    assert title == "Quiet"


def test_numbers_that_json_does_not_know_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        page("t", "", data={"a": float("nan")})
