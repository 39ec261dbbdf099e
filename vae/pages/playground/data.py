"""What Python knows and the page shows: families, integrands, estimators, nodes of quadrature."""

from __future__ import annotations

import math
from typing import Any

from numpy.polynomial.hermite_e import hermegauss

from vae.pages.playground.catalogue import MOST_SAMPLES, catalogue
from vae.pages.playground.integrands import CATEGORIES, FAMILIES, INTEGRANDS

__all__ = ["playground_data"]

NODES = {1: 120, 2: 120, 3: 64, 4: 28}
"""Of quadrature in each coordinate, by how many there are: K samples of D variables."""


SLIDERS = {
    "logit": (-4.0, 4.0, -1.0, -1.0, 0.5),
    "mean": (-2.0, 2.0, 0.5, -0.3),
    "log scale": (-1.5, 0.5, -0.2, -0.6),
}
"""Of each kind of parameter: from, to, and where its variables start."""


def playground_data() -> dict[str, Any]:
    """The data of the page."""
    return {
        "families": {name: _family(name) for name in FAMILIES},
        "integrands": {name: _integrand(name) for name in INTEGRANDS},
        "estimators": catalogue(),
        "quadrature": {n: _nodes(count) for n, count in NODES.items()},
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
    return {"label": kind.label, "formula": kind.formula, "weights": weights}


def _nodes(count: int) -> dict[str, list[float]]:
    nodes, weights = hermegauss(count)
    return {"nodes": nodes.tolist(), "weights": (weights / math.sqrt(2 * math.pi)).tolist()}
