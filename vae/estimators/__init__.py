"""Gradient estimators: one interface, one paper a class, one dictionary of names.

``ESTIMATORS[name](**options)`` builds the estimator that the field calls ``name``. ``rloo`` and
``vimco`` are one class: the leave-one-out baseline, under the ELBO and under the
importance-weighted bound.
"""

import inspect
from collections.abc import Callable
from typing import Any

from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.estimators.enumerate import Enumerate
from vae.estimators.pathwise import Pathwise, Reparameterization, Sampler
from vae.estimators.score_function import (
    Baseline,
    Learned,
    LeaveOneOut,
    MovingAverage,
    NoBaseline,
    ScoreFunction,
)
from vae.estimators.straight_through import GumbelSoftmax, StraightThroughGumbel

__all__ = [
    "ESTIMATORS",
    "Baseline",
    "Enumerate",
    "Estimate",
    "Estimator",
    "GumbelSoftmax",
    "Integrand",
    "Learned",
    "LeaveOneOut",
    "MovingAverage",
    "NoBaseline",
    "Pathwise",
    "Reparameterization",
    "Sampler",
    "ScoreFunction",
    "StraightThroughGumbel",
    "attach",
    "build",
]


def gumbel_softmax(temperature: float = 1.0) -> Estimator:
    return Pathwise(GumbelSoftmax(temperature))


def st_gumbel(temperature: float = 1.0) -> Estimator:
    return Pathwise(StraightThroughGumbel(temperature))


def reinforce_moving_average(decay: float = 0.99) -> Estimator:
    return ScoreFunction(MovingAverage(decay))


def nvil(hidden: int = 100) -> Estimator:
    return ScoreFunction(Learned(hidden))


def leave_one_out() -> Estimator:
    return ScoreFunction(LeaveOneOut())


ESTIMATORS: dict[str, Callable[..., Estimator]] = {
    "pathwise": Pathwise,
    "gumbel_softmax": gumbel_softmax,
    "st_gumbel": st_gumbel,
    "reinforce": ScoreFunction,
    "reinforce_moving_average": reinforce_moving_average,
    "nvil": nvil,
    "rloo": leave_one_out,
    "vimco": leave_one_out,
    "enumerate": Enumerate,
}


def build(name: str, options: dict[str, Any] | None = None, **offered: Any) -> Estimator:
    """``ESTIMATORS[name](**options)``, with what is ``offered`` where its constructor takes it.

    Arguments:
        name: A name in ``ESTIMATORS``.
        options: Arguments that the constructor must take.
        offered: Arguments that it may take: a temperature, the prior.

    Raises:
        ValueError: If the name is unknown or an option is not the constructor's.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"unknown estimator {name!r}: choose from {', '.join(ESTIMATORS)}")
    options = options or {}
    accepted = inspect.signature(ESTIMATORS[name]).parameters
    unknown = [option for option in options if option not in accepted]
    if unknown:
        raise ValueError(
            f"estimator {name} has no option {unknown[0]!r}: it takes"
            f" {', '.join(accepted) or 'none'}"
        )
    return ESTIMATORS[name](**{k: v for k, v in offered.items() if k in accepted} | options)
