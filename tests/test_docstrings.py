"""The first sentence of a docstring is on one line: the command line's help shows that line only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("vae", "experiments")
    for path in (ROOT / folder).rglob("*.py")
)


def documented(tree):
    """What is public and has a docstring, by name."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [("the module", tree)] if ast.get_docstring(tree) else []
    waiting = [("", tree)]
    while waiting:
        prefix, parent = waiting.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, kinds) and not node.name.startswith("_"):
                if ast.get_docstring(node):
                    found.append((prefix + node.name, node))
                if isinstance(node, ast.ClassDef):
                    waiting.append((f"{prefix}{node.name}.", node))
    return found


def wrapped(source):
    """The names whose first sentence does not end on the first line."""
    first = {
        n: ast.get_docstring(node).split("\n")[0] for n, node in documented(ast.parse(source))
    }
    return [name for name, line in first.items() if not line.endswith((".", ":", "?", "!"))]


@pytest.mark.parametrize("module", MODULES)
def test_first_sentences_fit_on_one_line(module):
    found = wrapped((ROOT / module).read_text(encoding="utf-8"))
    assert not found, f"{module}: the first sentence of {', '.join(found)} wraps"


def test_a_sentence_that_wraps_is_seen():
    source = '"""One."""\nclass A:\n    """Two\n    lines."""\n    def b(self):\n        """C\n        d."""\n'
    assert wrapped(source) == ["A", "A.b"]
    assert wrapped('def _f():\n    """Private\n    one."""\n') == []
