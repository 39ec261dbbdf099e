"""The matrix of estimators and their claims, each linked to its class in the reference."""

from __future__ import annotations

import inspect

from IPython.display import Markdown

from vae.certify.named import named_cases
from vae.cli.estimators import HEADERS, footnote, rows
from vae.estimators.names import ESTIMATORS, SURROGATES, named

__all__ = ["certified", "matrix"]


def matrix() -> Markdown:
    """A row an estimator; its paper is beneath its name."""
    headers = list(HEADERS[:-1])
    lines = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    for name, *cells, paper in rows():
        escaped = " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells)
        said = f"<br><small>{paper}</small>" if paper else ""
        lines.append(f"| {_linked(name)}{said} | {escaped} |")
    return Markdown("\n".join([*lines, "", footnote().replace("*", "\\*", 1)]))


def _linked(name: str) -> str:
    """The name an estimator is asked for by, as a link to what makes it in the reference."""
    made = (ESTIMATORS | SURROGATES)[name]
    if inspect.isclass(made):
        return f"{{py:class}}`{name} <vae.{made.__name__}>`"
    if inspect.isfunction(made):
        return f"{{py:func}}`{name} <{made.__module__}.{made.__name__}>`"
    return f"{{py:class}}`{name} <vae.{type(named(name)).__name__}>`"  # some of its options set


def certified() -> Markdown:
    """How many claims are tested."""
    biased = {name for name in ESTIMATORS if named(name).bias is not None}
    cases = [case for case in named_cases() if case[0] not in biased]
    return Markdown(
        f"{len(ESTIMATORS)} estimators; {len(cases)} triples of estimator, problem and bound are"
        f" certified as unbiased, and each of the {len(biased)} biased estimators is shown to be so."
    )
