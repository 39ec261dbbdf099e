"""The playground as one page: what its files hold, put together."""

from __future__ import annotations

from vae.pages.page import asset, page
from vae.pages.playground.data import playground_data

__all__ = ["playground_page"]

SCRIPTS = (
    *("numbers", "noise", "bernoulli", "categorical", "gaussian", "bounds", "integrands", "exact"),
    *("score", "learning", "pathwise", "relaxed", "rebar", "rodeo", "weighted"),
    *("antithetic", "copula", "local", "trees", "sets"),
    *("problem", "statistics", "experiment", "availability", "examples"),
    *("drawing", "clouds", "lines", "temperatures", "table", "controls", "main", "asked"),
)
"""In order: each uses those before it."""


def playground_page() -> str:
    """The whole page, HTML that needs nothing beside it."""
    found = 'const DATA = JSON.parse(document.getElementById("data").textContent);'
    script = "\n".join([found, *(asset(f"playground/{name}.js") for name in SCRIPTS)])
    return page(
        "Estimator playground",
        asset("playground/page.html"),
        css=asset("playground/playground.css"),
        script=f'(() => {{\n"use strict";\n{script}\n}})();',
        data=playground_data(),
    )
