"""The chapters of the guide, run cell by cell in this process."""

from __future__ import annotations

import ast
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import pytest
import torch

GUIDE = Path(__file__).resolve().parents[2] / "experiments" / "guide"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
CHAPTERS = {
    path.stem: path
    for path in sorted((GUIDE / "chapters").glob("*.md"))
    if CELL.search(path.read_text(encoding="utf-8"))
}


def cells(path):
    """The code of each cell, at its own line of the page."""
    text = path.read_text(encoding="utf-8")
    for found in CELL.finditer(text):
        above = text[: found.start("code")].count("\n")
        lines = ["" if line.startswith(":") else line for line in found["code"].split("\n")]
        yield "\n" * above + "\n".join(lines)


@contextmanager
def few_gradients():
    """What the guide's own modules are to pages, with few gradients; nothing of it is left behind."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch, matplotlib.rc_context():
        patch.setenv("GUIDE_FAST", "1")
        patch.syspath_prepend(str(GUIDE))
        with torch.random.fork_rng(devices=[]):
            yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("figures", "measured"):
            del sys.modules[name]


def run(path):
    """Executes all cells of a page; what each ended in, with the names that are then known."""
    scope, ends = {"__name__": "__main__"}, []
    for code in cells(path):
        tree = ast.parse(code)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(path), "exec"), scope)
        if last is not None:
            ends.append(eval(compile(ast.Expression(last.value), str(path), "eval"), scope))
    return ends, scope
