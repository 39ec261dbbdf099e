"""The estimators of the playground, as data: names, claims, costs and papers are those of the library."""

from __future__ import annotations

import inspect
from typing import Any

from torch.distributions import Distribution

from vae.estimators import ESTIMATORS, Estimator, accepts, named
from vae.objectives import ELBO, IWAE, Objective
from vae.pages.playground.integrands import CATEGORIES, FAMILIES, INTEGRANDS

__all__ = ["BOUNDS", "DISTINCT", "MOST_SAMPLES", "RATE", "SHOWN", "absent", "catalogue", "made"]

MOST_SAMPLES = 8
"""The largest K of the slider."""

RATE = 0.01
"""Of Adam, by which an estimator trains what is its own: in the page, one step an estimate."""

BOUNDS: dict[str, type[Objective]] = {"average": ELBO, "log_mean_exp": IWAE}

SHOWN: dict[str, dict[str, Any]] = {
    "reinforce": {},
    "reinforce_moving_average": {"decay": 0.99},
    "nvil": {"hidden": 10},
    "self_critical": {},
    "rloo": {},
    "vimco": {},
    "vimco_arithmetic": {},
    "ovis": {"gamma": 0.0},
    "ovis_mc": {"auxiliary_samples": 1},
    "arm": {},
    "disarm": {},
    "ugc": {},
    "arms": {},
    "bitflip_1": {},
    "disarm_sb": {},
    "disarm_tree": {},
    "disarm_iw": {},
    "carms": {},
    "ars": {},
    "arsm": {},
    "measure_valued": {},
    "local_expectation": {},
    "sum_and_sample": {"summed": 1},
    "unordered_set": {},
    "enumerate": {},
    "muprop": {},
    "double_cv": {"alpha": 0.5},
    "rodeo": {"hidden": 10},
    "rebar": {"eta": 1.0},
    "relax": {"eta": 1.0, "hidden": 10},
    "pathwise": {},
    "stl": {},
    "dreg": {},
    "gumbel_softmax": {},
    "straight_through": {},
    "st_gumbel": {},
    "decoupled_st_gumbel": {"forward_temperature": 0.5},
    "gumbel_rao": {"num_inner": 10},
    "gst": {"gap": 1.0},
    "reinmax": {"temperature": 1.0},
    "reinmax_rao": {"num_inner": 10},
    "reinmax_cv": {"num_inner": 10, "eta": 0.5},
    "foust": {"low": 0.8},
    "wake_sleep": {},
    "defensive_wake_wake": {"delta": 0.2},
}
"""Names, in the page's order, and the options that its JavaScript runs them with."""

SAME = {"gdreg": "it is dreg where the prior is not trained, and here nothing but q is"}
"""Those that would be another's twin here, and why."""

DISTINCT = ("unordered_set",)
"""Those whose K samples are different configurations, of which there must be as many."""

WEIGHTS = ("dreg", "wake_sleep", "defensive_wake_wake")
"""Those that take f for the logarithm of an importance weight, with the term -log q(z)."""


def absent() -> dict[str, str]:
    """The library's estimators that the page does not show, and why."""
    return {
        name: SAME.get(name) or _other_families(name) for name in ESTIMATORS if name not in SHOWN
    }


def _other_families(name: str) -> str:
    families = named(name).families
    if families == (Distribution,) or any(k.distribution in families for k in FAMILIES.values()):
        raise ValueError(f"{name} is for the families of the page: add it to SHOWN")
    return f"for {' and '.join(family.__name__ for family in families)}, no family of this page"


def made(name: str, temperature: float | None = None) -> Estimator:
    """The library's estimator, with the options of the page.

    Arguments:
        name: A name in :data:`SHOWN`.
        temperature: That of the slider, for those that follow it or start from it.
    """
    options = dict(SHOWN[name])
    if follows_temperature(name) and temperature is not None:
        options["temperature"] = temperature
    return named(name, options)


def follows_temperature(name: str) -> bool:
    """Whether the slider is for it: ReinMax keeps 1, for which it is derived."""
    return accepts(name, "temperature") and "temperature" not in SHOWN[name]


def learns(name: str) -> bool:
    """Whether it has parameters of its own, which it trains."""
    return next(made(name).parameters(), None) is not None


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
        "exact": [key for key, kind in INTEGRANDS.items() if kind.is_of(estimator.exact_for)],
        "paper": estimator.paper,
        "slope": estimator.needs_gradient,
        "min_samples": estimator.min_samples,
        "distinct": name in DISTINCT,
        "weights": name in WEIGHTS,
        "tempered": follows_temperature(name),
        "learns": learns(name),
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
