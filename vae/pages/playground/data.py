"""What Python knows and the page shows: families, integrands, estimators, nodes of quadrature."""

from __future__ import annotations

import math
from typing import Any

from vae.pages.playground.catalogue import MOST_SAMPLES, RATE, absent, catalogue
from vae.pages.playground.integrands import CATEGORIES, FAMILIES, INTEGRANDS

__all__ = ["playground_data"]

STEPS = ((0.1, 0.2, 0.2, 0.3), (0.25, 0.45))
"""Of the trapezoidal rule for a Gaussian, by D - 1 and K - 1; more samples are not for the page.

Its error falls exponentially in 1 / step where f has no poles near the real line: with steps of 60 % the
gradient changes by less than 1e-5 within the range of the sliders.
"""

SLIDERS = {
    "logit": (-6.0, 6.0, -1.0, -1.0, 0.5),
    "mean": (-2.0, 2.0, 0.5, -0.3),
    "log scale": (-1.5, 0.0, -0.2, -0.6),
}
"""Of each kind of parameter: from, to, and where its variables start."""


def playground_data() -> dict[str, Any]:
    """The data of the page."""
    return {
        "families": {name: _family(name) for name in FAMILIES},
        "integrands": {name: _integrand(name) for name in INTEGRANDS},
        "estimators": catalogue(),
        "absent": absent(),
        "rate": RATE,
        "quadrature": [[_nodes(step) for step in steps] for steps in STEPS],
        "most_samples": MOST_SAMPLES,
    }


def _family(name: str) -> dict[str, Any]:
    kind = FAMILIES[name]
    return {
        "label": kind.label,
        "variables": kind.variables,
        "categories": CATEGORIES if name == "categorical" else 0,
        "parameters": [_parameters(name, D) for D in range(1, kind.variables + 1)],
    }


def _parameters(family: str, D: int) -> list[dict[str, Any]]:
    """The sliders of q: names, ranges, and where they start."""
    found = []
    for part, shape in FAMILIES[family].shapes(D).items():
        low, high, *start = SLIDERS[part]
        for i in range(math.prod(shape)):
            # "logit 2", or "logit 2, category 1"
            label = (
                f"{part} {i // shape[-1] + 1}, category {i % shape[-1] + 1}"
                if shape[1:]
                else f"{part} {i + 1}"
            )
            found.append({"label": label, "range": [low, high], "start": start[i % len(start)]})
    return found


def _integrand(name: str) -> dict[str, Any]:
    kind = INTEGRANDS[name]
    weights = {
        family: [kind.weights(family, D) for D in range(1, FAMILIES[family].variables + 1)]
        for family in FAMILIES
    }
    holds_log_q = any(w.get("minus_log_q", False) for own in weights.values() for w in own)
    return {
        "label": kind.label,
        "formula": kind.formula,
        "weights": weights,
        "holds_log_q": holds_log_q,
    }


def _nodes(step: float) -> dict[str, list[float]]:
    """Nodes and weights of an expectation under a standard Gaussian."""
    count = round(8.4 / step)
    nodes = [step * i for i in range(-count, count + 1)]
    weights = [step * math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in nodes]
    return {"nodes": nodes, "weights": weights}
