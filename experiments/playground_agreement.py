"""Compares the playground's JavaScript with ``vae.estimators`` on the same noise, and measures its pace.

Every estimator at every family, number of variables, integrand, bound, K and temperature below; and
every exact gradient against that of ``vae.certify``. What learns is compared in three steps, each with
Adam's step between. Then each estimator's estimates a second, and frames a second while the page plays.
Needs a Chromium and the development extra.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.pages.playground.agreement import (
    asked,
    cases,
    exact_cases,
    worst_differences,
)
from vae.pages.playground.catalogue import SHOWN, absent
from vae.pages.playground.integrands import INTEGRANDS
from vae.pages.playground.page import playground_page
from vae.run.files import replace_text, write_json
from vae.run.record import hardware

RESULTS = Path(__file__).resolve().parent / "results" / "pages" / "playground.json"
VARIABLES, SAMPLES, TEMPERATURES = (1, 2, 3), (1, 2, 3, 4), (0.05, 1.0, 5.0)
SETTING = {"D": 2, "integrand": "likelihood", "K": 4, "temperature": 1.0}
"""In which estimates are counted; under the first bound that an estimator takes."""


@contextmanager
def opened() -> Iterator[Any]:
    """The page in a headless Chromium, at rest."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        replace_text(Path(folder) / "playground.html", playground_page())
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        page.goto((Path(folder) / "playground.html").as_uri())
        yield page
        browser.close()


def agreement(page: Any, seed: int) -> dict[str, Any]:
    """The largest differences, by estimator and family."""
    chosen = [*cases(VARIABLES, SAMPLES, TEMPERATURES), *exact_cases(VARIABLES, SAMPLES)]
    found = [asked(case, seed) for case in chosen]
    worst = worst_differences(found, lambda q: page.evaluate("q => playground.replay(q)", q))
    table: dict[str, dict[str, float]] = {}
    for (name, family), size in sorted(worst.items()):
        table.setdefault(name, {})[family] = float(f"{size:.1e}")
    return {
        "what": "largest |JavaScript - torch| of any component of any gradient, on the same noise",
        "variables": VARIABLES,
        "samples": SAMPLES,
        "temperatures": TEMPERATURES,
        "integrands": list(INTEGRANDS),
        "settings": len(chosen),
        "gradients": sum(len(one.answer) for one in found),
        "seed": seed,
        "largest": max(size for own in table.values() for size in own.values()),
        "estimators": table,
    }


def rates(page: Any, milliseconds: int = 150) -> dict[str, dict[str, int]]:
    """Estimates a second of each estimator and family: the median of three goes."""
    found: dict[str, dict[str, int]] = {}
    for e in page.evaluate("playground.data.estimators"):
        for family in e["families"]:
            setting = SETTING | {"family": family, "bound": e["bounds"][0]}
            goes = [
                page.evaluate("a => playground.rate(...a)", [setting, e["name"], milliseconds])
                for _ in range(3)
            ]
            found.setdefault(e["name"], {})[family] = round(statistics.median(goes), -2)
    return {name: {f: int(v) for f, v in own.items()} for name, own in found.items()}


PLAYED = """seconds => new Promise(done => {
    let frames = 0;
    const began = performance.now(), before = playground.run().least();
    playground.play(true);
    const next = now => {
        frames++;
        if (now - began < 1000 * seconds) return requestAnimationFrame(next);
        playground.play(false);
        const passed = (performance.now() - began) / 1000;
        done({ frames_per_second: frames / passed, estimates_per_second_of_each: (playground.run().least() - before) / passed });
    };
    requestAnimationFrame(next);
})"""


def played(page: Any, seconds: int = 4) -> dict[str, dict[str, float]]:
    """Frames and estimates a second of each example, at the slider's end of 10,000 a second."""
    found = {}
    for button in page.locator("#presets button").all():
        button.click()
        page.evaluate("() => playground.take({ speed: 10000 })")
        page.wait_for_timeout(1500)  # the curves of the temperature are done
        numbers = page.evaluate(PLAYED, seconds)
        found[button.text_content()] = {key: round(v, 1) for key, v in numbers.items()}
    return found


def main() -> None:
    parser = ScriptParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    arguments = parser.parse_args()
    with opened() as page:
        result = agreement(page, arguments.seed)
        result["shown"], result["not_shown"] = len(SHOWN), absent()
        result["pace"] = {
            "what": "the page in a headless Chromium of 1280 x 900 CSS pixels, on a machine that others used too",
            "command": "python experiments/playground_agreement.py",
            "hardware": hardware("cpu"),
            "load_average": round(os.getloadavg()[0], 1),
            "playing": played(page),
            "setting": SETTING,
            "estimates_per_second": rates(page),
        }
        result["versions"] = {
            "torch": torch.__version__,
            "chromium": page.context.browser.version,
        }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS, result)
    print(f"{result['gradients']:,} gradients: {result['largest']:.1e} at most; {RESULTS.name}")


if __name__ == "__main__":
    with one_line_errors():
        main()
