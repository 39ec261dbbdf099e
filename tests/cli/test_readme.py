"""The README: its tables are those of the committed JSON, and its code runs."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

import vae
from vae import ELBO, ESTIMATORS
from vae.certify.claims import assert_claims
from vae.certify.problems import one_hot_problem
from vae.estimators import Estimate, Estimator, attach

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = ROOT / "experiments" / "guide"
PAGES = {
    page: page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *GUIDE.rglob("*.md")]
}


def test_tables_are_generated(monkeypatch):
    import tables

    pages = [page.read_text(encoding="utf-8") for page in tables.PAGES]
    assert pages[0] == README
    assert all(tables.fill(page) == page for page in pages), "run python experiments/tables.py"
    there = "".join(pages)
    assert [name for name in tables.TABLES if f"<!-- table {name} -->\n" not in there] == []


def test_python_runs_and_the_example_estimator_is_unbiased():
    features = torch.randn(5, 64)

    def f(z, q):
        return z.flatten(2).sum(-1)

    names = {
        "torch": torch, "vae": vae, "ELBO": ELBO, "ESTIMATORS": ESTIMATORS, "features": features,
        "f": f, "Estimate": Estimate, "Estimator": Estimator, "attach": attach,
    }  # fmt: skip
    text = README + PAGES[GUIDE / "handbook" / "estimators.md"]
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, names)
    problems = {"one_hot": one_hot_problem()}
    assert_claims(names["ScoreFunctionWithMedian"](), 20_000, problems=problems)


def test_every_target_and_estimator_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, flags=re.MULTILINE))
    for page, text in PAGES.items():
        used = set(re.findall(r"(?:`|^)make ([a-z][a-z-]+)\b", text, flags=re.MULTILINE))
        assert used <= targets, (page.name, used - targets)
    table = README.split("<!-- table short -->")[1].split("<!-- end -->")[0]
    assert {name for name in re.findall(r"`([a-z_0-9]+)`", table)} >= set(ESTIMATORS)
    assert f" {len(ESTIMATORS)} estimators, each in one small file" in README


def test_links_lead_somewhere():
    for page, text in PAGES.items():
        for link in re.findall(
            r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        ):
            if not re.match(r"[a-z]+:|#", link):
                found = page.parent / link.partition("#")[0]
                assert found.exists() or found.with_name(f"{found.name}.md").exists(), (
                    page.name,
                    link,
                )


def test_images_are_there():
    results = ROOT / "experiments" / "results"
    linked = set(
        re.findall(r"\((pictures/.*?)\)", (results / "README.md").read_text(encoding="utf-8"))
    )
    assert linked == {f"pictures/{path.name}" for path in (results / "pictures").iterdir()}
    assert all((results / path).stat().st_size < 200_000 for path in linked)
    assert sys.version_info >= (3, 10)


def test_no_result_names_a_folder_of_some_machine():
    for path in (ROOT / "experiments" / "results").rglob("*.json"):
        assert not re.search(r'[" =]/[a-z]+/', path.read_text(encoding="utf-8")), path.name
        json.loads(
            path.read_text(encoding="utf-8"), parse_constant=pytest.fail
        )  # no NaN, no Infinity
