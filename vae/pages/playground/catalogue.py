"""The estimators of the playground, as data: names, claims, costs and papers are those of the library."""

from __future__ import annotations

import inspect
from typing import Any

from vae.estimators import ESTIMATORS, Estimator, accepts, named
from vae.objectives import ELBO, IWAE, Objective
from vae.pages.playground.integrands import CATEGORIES, FAMILIES

__all__ = ["BOUNDS", "DISTINCT", "MOST_SAMPLES", "SHOWN", "catalogue", "made"]

MOST_SAMPLES = 8
"""The largest K of the slider."""

BOUNDS: dict[str, type[Objective]] = {"average": ELBO, "log_mean_exp": IWAE}

SHOWN: dict[str, dict[str, Any]] = {
    "reinforce": {},
    "reinforce_moving_average": {"decay": 0.99},
    "self_critical": {},
    "rloo": {},
    "vimco": {},
    "arm": {},
    "disarm": {},
    "arms": {},
    "bitflip_1": {},
    "disarm_sb": {},
    "disarm_tree": {},
    "disarm_iw": {},
    "carms": {},
    "arsm": {},
    "measure_valued": {},
    "local_expectation": {},
    "sum_and_sample": {"summed": 1},
    "unordered_set": {},
    "enumerate": {},
    "rebar": {"eta": 1.0},
    "muprop": {},
    "double_cv": {"alpha": 0.5},
    "pathwise": {},
    "stl": {},
    "dreg": {},
    "gumbel_softmax": {},
    "straight_through": {},
    "st_gumbel": {},
    "gumbel_rao": {"num_inner": 10},
    "gst": {"gap": 1.0},
    "reinmax": {"temperature": 1.0},
}
"""Names, in the page's order, and the options that its JavaScript runs them with."""


DISTINCT = ("unordered_set",)
"""Those whose K samples are different configurations, of which there must be as many."""


def made(name: str, temperature: float | None = None) -> Estimator:
    """The library's estimator, with the options of the page.

    Arguments:
        name: A name in :data:`SHOWN`.
        temperature: That of the slider, for those that follow it.
    """
    options = dict(SHOWN[name])
    if follows_temperature(name) and temperature is not None:
        options["temperature"] = temperature
    return named(name, options)


def follows_temperature(name: str) -> bool:
    """Whether the slider is for it: ReinMax keeps 1, for which it is derived."""
    return accepts(name, "temperature") and "temperature" not in SHOWN[name]


def catalogue() -> list[dict[str, Any]]:
    """What the page knows of each estimator."""
    return [_described(name) for name in SHOWN]


def _described(name: str) -> dict[str, Any]:
    estimator = made(name)
    summary = (inspect.getdoc(ESTIMATORS[name]) or "").split("\n")[0]
    return {
        "name": name,
        "summary": summary.removeprefix("Creates ").rstrip(".:"),
        "bias": estimator.bias,
        "exact_for": estimator.exact_for,
        "paper": estimator.paper,
        "slope": estimator.needs_gradient,
        "min_samples": estimator.min_samples,
        "distinct": name in DISTINCT,
        "tempered": follows_temperature(name),
        "options": SHOWN[name],
        "bounds": [
            key for key, bound in BOUNDS.items() if issubclass(bound, estimator.objectives)
        ],
        "families": [key for key in FAMILIES if _supports(estimator, key)],
        "cost": {key: _costs(estimator, key) for key in FAMILIES if _supports(estimator, key)},
    }


def _supports(estimator: Estimator, family: str) -> bool:
    import torch

    shapes = FAMILIES[family].shapes(1).values()
    return estimator.supports(FAMILIES[family].make_q(*(torch.zeros(1, *s) for s in shapes)))


def _costs(estimator: Estimator, family: str) -> list[list[int]]:
    """Evaluations of f, by D - 1 and K - 1."""
    kind = FAMILIES[family]
    C = CATEGORIES if family == "categorical" else 2
    return [
        [int(estimator.cost(K, D, C, kind.distribution)) for K in range(1, MOST_SAMPLES + 1)]
        for D in range(1, kind.variables + 1)
    ]
