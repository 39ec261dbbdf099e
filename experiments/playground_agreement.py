"""Compares the playground's JavaScript with ``vae.estimators``, on the same noise.

Every estimator at every family, number of variables, integrand, bound, K and temperature below; and
every exact gradient against that of ``vae.certify``. Needs a Chromium and the development extra.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from vae.pages.playground.agreement import (
    Asked,
    asked,
    cases,
    exact_cases,
    worst_differences,
)
from vae.pages.playground.integrands import INTEGRANDS
from vae.pages.playground.page import playground_page
from vae.run.files import write_json
from vae.whole_files import replace_text

RESULTS = Path(__file__).resolve().parent / "results" / "pages" / "playground.json"
VARIABLES, SAMPLES, TEMPERATURES = (1, 2, 3), (1, 2, 3, 4), (0.25, 1.0, 4.0)


def in_chromium(found: list[Asked]) -> tuple[dict[tuple[str, str], float], str]:
    """The largest differences, by estimator and family, and the version of the browser."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        replace_text(Path(folder) / "playground.html", playground_page())
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(reduced_motion="reduce")
        page.goto((Path(folder) / "playground.html").as_uri())

        def ask(questions: list[dict[str, Any]]) -> list[list[list[float]]]:
            answers: list[list[list[float]]] = page.evaluate(
                "q => playground.replay(q)", questions
            )
            return answers

        worst = worst_differences(found, ask)
        version: str = browser.version
        browser.close()
    return worst, version


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    arguments = parser.parse_args()
    chosen = [*cases(VARIABLES, SAMPLES, TEMPERATURES), *exact_cases(VARIABLES, SAMPLES)]
    found = [asked(case, arguments.seed) for case in chosen]
    worst, version = in_chromium(found)
    table: dict[str, dict[str, float]] = {}
    for (name, family), size in sorted(worst.items()):
        table.setdefault(name, {})[family] = float(f"{size:.1e}")
    result = {
        "what": "largest |JavaScript - torch| of any component of any gradient, on the same noise",
        "variables": VARIABLES,
        "samples": SAMPLES,
        "temperatures": TEMPERATURES,
        "integrands": list(INTEGRANDS),
        "settings": len(chosen),
        "gradients": sum(len(one.answer) for one in found),
        "seed": arguments.seed,
        "largest": max(size for own in table.values() for size in own.values()),
        "estimators": table,
        "versions": {"torch": torch.__version__, "chromium": version},
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS, result)
    print(f"{result['gradients']:,} gradients: {result['largest']:.1e} at most; {RESULTS.name}")


if __name__ == "__main__":
    main()
