"""Writes the README's tables from ``experiments/results/*.json``, and the guide's list of links."""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import ast
import sys
from pathlib import Path
from typing import Any

import bad_input
import links
import mutants
from benchmark import readme
from evaluations import codes as codes_table
from evaluations import models as models_table
from evaluations import shipped as shipped_table
from evaluations import tables as evaluation_tables

from vae.cli.errors import one_line_errors
from vae.cli.estimators import short
from vae.cli.parser import ScriptParser
from vae.run.files import read_json
from vae.whole_files import replace_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results"


def _read(name: str) -> dict[str, Any]:
    return read_json(RESULTS / f"{name}.json")


def study() -> str:
    """Ten estimators in training, by seeds."""
    summary = _read("study-estimators")
    seeds, first = summary["seeds"], summary["compared_with"]
    lines = [
        f"| estimator | test -ELBO | -log p(x) ≤, K = 100 | -ELBO minus `{first}`'s, by seed |",
        "|---|---|---|---|",
    ]
    for name, row in summary["variants"].items():
        elbo, bound = row["test/elbo"], "-"
        if held := row.get("test/log_likelihood_100"):  # none, with test_samples 0
            bound = f"{-held['mean']:.2f} ± {held['se']:.2f}"
        gap = elbo.get("difference")
        paired = f"{-gap['mean']:+.2f} ± {gap['se']:.2f}" if gap else "-"
        lines.append(f"| `{name}` | {-elbo['mean']:.2f} ± {elbo['se']:.2f} | {bound} | {paired} |")
    steps = next(iter(summary["variants"].values()))["steps"]
    lines += [
        "",
        f"`make compare`; {summary['binarization']} MNIST, 25 variables of 8 categories, 784-200-200-200-784,"
        f" {steps:,} steps of batch 100, Adam 1e-3, mean ± standard error over {seeds} seeds;"
        f" {summary['hardware'].rpartition(',')[0]}.",
    ]
    return "\n".join(lines)


def precision() -> str:
    """How much bfloat16 and compiling change the ELBO."""
    summary = _read("study-precision")
    seeds, first = summary["seeds"], summary["compared_with"]
    rows = summary["variants"]
    said = []
    for name, row in rows.items():
        gap = row["test/elbo"].get("difference")
        if gap:
            said.append(f"{name} {gap['mean']:+.2f} ± {gap['se']:.2f}")
    elbo, steps = rows[first]["test/elbo"], rows[first]["steps"]
    return (
        f"- What {' and '.join(n for n in rows if n != first)} change of the test ELBO, on a CPU:"
        f" {', '.join(said)} nats, of {elbo['mean']:.2f} ± {elbo['se']:.2f} in {first} (mean ± standard error of"
        f" the difference, paired by {seeds} seeds; dynamic MNIST, {steps:,} steps of batch 128;"
        f" `python experiments/seeds.py --study experiments/studies/precision.yaml`;"
        f" {summary['hardware']})."
    )


def own_parts() -> str:
    """Lines of code of each part of one's own in ``own_parts/mine.py``, without docstrings."""
    source = (ROOT / "experiments" / "own_parts" / "mine.py").read_text(encoding="utf-8")
    lines = ["| part | class in `mine.py` | lines |", "|---|---|---|"]
    for made in ast.parse(source).body:
        if not isinstance(made, ast.ClassDef):
            continue
        base = ast.unparse(made.bases[0])
        code = [line for line in ast.unparse(_bare(made)).splitlines() if line.strip()]
        lines.append(f"| {PARTS[base]} | `{made.name}({base})` | {len(code)} |")
    return "\n".join(lines)


PARTS = {
    "vae.Estimator": "estimator",
    "vae.Average": "objective",
    "nn.Module": "encoder",
    "vae.Latent": "latent layer",
    "vae.Prior": "prior",
    "vae.Likelihood": "likelihood",
    "vae.ImageDataModule": "data set",
}
"""What a class is, by what it derives from."""


def _bare(made: ast.ClassDef) -> ast.ClassDef:
    """A class without its docstring; its methods have none."""
    made.body = made.body[1:]
    return made


TABLES = {
    "runs": evaluation_tables.runs,
    "bounds": evaluation_tables.bounds,
    "evaluation": evaluation_tables.evaluation,
    "study": study,
    "models": models_table.table,
    "omniglot": models_table.omniglot,
    "codes": codes_table.table,
    "shipped": shipped_table.table,
    "own_parts": own_parts,
    "mutants": mutants.markdown,
    "evaluator_mutants": mutants.markdown_evaluator,
    "bad_input": bad_input.markdown,
    "bench": readme.markdown,
    "targets": readme.markdown_targets,
    "precision": precision,
    "short": short,
}
PAGES = [
    ROOT / "README.md",
    RESULTS / "README.md",
    ROOT / "experiments" / "checkpoints" / "README.md",
    *sorted((ROOT / "experiments" / "guide").rglob("*.md")),
]


def fill(text: str) -> str:
    """The text with the lines between ``<!-- table NAME -->`` and ``<!-- end -->`` made anew."""
    for name, table in TABLES.items():
        start = f"<!-- table {name} -->\n"
        before, found, rest = text.partition(start)
        if found:
            text = before + start + table() + "\n" + rest[rest.index("<!-- end -->") :]
    return text


if __name__ == "__main__":
    with one_line_errors():
        ScriptParser(description=__doc__).parse_args()
        pages = {
            page: fill(page.read_text(encoding="utf-8")) for page in PAGES
        }  # all of them, or none
        for page, text in pages.items():
            if text == page.read_text(encoding="utf-8"):
                continue
            replace_text(page, text)
            print(page.relative_to(ROOT), file=sys.stderr)
        replace_text(links.LISTED, links.listing())
        print(links.LISTED.relative_to(ROOT), file=sys.stderr)
