"""Gradient estimators: one interface, one paper a class, one dictionary of names.

``ESTIMATORS[name](**options)`` builds the estimator that the field calls ``name``.
"""

from collections.abc import Callable
from typing import Any

from vae.estimators.antithetic import ARM, DisARM
from vae.estimators.arms import ARMS
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.estimators.categorical_disarm import DisARMStickBreaking, DisARMTree
from vae.estimators.double_control_variates import DoubleControlVariates
from vae.estimators.doubly_reparameterized import (
    DoublyReparameterized,
    GeneralizedDReG,
    StickingTheLanding,
)
from vae.estimators.enumerate import Enumerate
from vae.estimators.local_expectation import LocalExpectation
from vae.estimators.measure_valued import MeasureValued
from vae.estimators.muprop import MuProp
from vae.estimators.ovis import OVIS, OVISMonteCarlo
from vae.estimators.pathwise import Pathwise, Reparameterization, Sampler
from vae.estimators.relaxed import REBAR, RELAX
from vae.estimators.score_function import (
    RLOO,
    VIMCO,
    Baseline,
    Learned,
    LeaveOneOut,
    MovingAverage,
    NoBaseline,
    ScoreFunction,
)
from vae.estimators.straight_through import (
    GappedStraightThrough,
    GumbelRao,
    GumbelSoftmax,
    ReinMax,
    StraightThrough,
    StraightThroughGumbel,
)
from vae.estimators.unordered_set import UnorderedSet
from vae.estimators.wake_sleep import WakeSleep
from vae.options import assert_options, names_of

__all__ = [
    "ARM",
    "ARMS",
    "DisARM",
    "DisARMStickBreaking",
    "DisARMTree",
    "DoubleControlVariates",
    "DoublyReparameterized",
    "GappedStraightThrough",
    "GeneralizedDReG",
    "GumbelRao",
    "LocalExpectation",
    "MeasureValued",
    "MuProp",
    "OVIS",
    "OVISMonteCarlo",
    "REBAR",
    "RELAX",
    "ReinMax",
    "StickingTheLanding",
    "StraightThrough",
    "UnorderedSet",
    "WakeSleep",
    "ESTIMATORS",
    "RLOO",
    "VIMCO",
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
    "options_of",
]


def gumbel_softmax(temperature: float = 1.0) -> Estimator:
    return Pathwise(GumbelSoftmax(temperature))


def straight_through() -> Estimator:
    return Pathwise(StraightThrough())


def gumbel_rao(temperature: float = 1.0, num_inner: int = 10) -> Estimator:
    return Pathwise(GumbelRao(temperature, num_inner))


def reinmax(temperature: float = 1.0) -> Estimator:
    return Pathwise(ReinMax(temperature))


def gapped_straight_through(temperature: float = 1.0, gap: float = 1.0) -> Estimator:
    return Pathwise(GappedStraightThrough(temperature, gap))


def st_gumbel(temperature: float = 1.0) -> Estimator:
    return Pathwise(StraightThroughGumbel(temperature))


def reinforce_moving_average(decay: float = 0.99) -> Estimator:
    return ScoreFunction(MovingAverage(decay))


def pathwise() -> Estimator:
    return Pathwise()


def reinforce() -> Estimator:
    return ScoreFunction()


def nvil(hidden: int = 100, centre: bool = False, scale: bool = False) -> Estimator:
    return ScoreFunction(Learned(hidden, centre), scale)


def muprop(hidden: int | None = None, centre: bool = False, scale: bool = False) -> Estimator:
    if hidden is None:
        return MuProp(MovingAverage(0.8) if centre else None, scale)
    return MuProp(Learned(hidden, centre), scale)


ESTIMATORS: dict[str, Callable[..., Estimator]] = {
    "pathwise": pathwise,
    "stl": StickingTheLanding,
    "dreg": DoublyReparameterized,
    "gdreg": GeneralizedDReG,
    "gumbel_softmax": gumbel_softmax,
    "straight_through": straight_through,
    "st_gumbel": st_gumbel,
    "gumbel_rao": gumbel_rao,
    "gst": gapped_straight_through,
    "reinmax": reinmax,
    "reinforce": reinforce,
    "reinforce_moving_average": reinforce_moving_average,
    "nvil": nvil,
    "rloo": RLOO,
    "vimco": VIMCO,
    "muprop": muprop,
    "double_cv": DoubleControlVariates,
    "ovis": OVIS,
    "ovis_mc": OVISMonteCarlo,
    "rebar": REBAR,
    "relax": RELAX,
    "arm": ARM,
    "disarm": DisARM,
    "arms": ARMS,
    "disarm_sb": DisARMStickBreaking,
    "disarm_tree": DisARMTree,
    "unordered_set": UnorderedSet,
    "measure_valued": MeasureValued,
    "local_expectation": LocalExpectation,
    "wake_sleep": WakeSleep,
    "enumerate": Enumerate,
}


def options_of(name: str) -> list[str]:
    """The arguments that the constructor of an estimator takes.

    Raises:
        ValueError: If the name is unknown.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"unknown estimator {name!r}: choose from {', '.join(ESTIMATORS)}")
    return names_of(ESTIMATORS[name])


def build(name: str, options: dict[str, Any] | None = None, **offered: Any) -> Estimator:
    """``ESTIMATORS[name](**options)``, with what is ``offered`` where its constructor takes it.

    Arguments:
        name: A name in ``ESTIMATORS``.
        options: Arguments that the constructor must take.
        offered: Arguments that it may take: a temperature, the prior.

    Raises:
        ValueError: If the name is unknown, or an option is not the constructor's, or no value of
            it.
    """
    options, accepted = options or {}, options_of(name)
    assert_options(f"estimator {name}", ESTIMATORS[name], options)
    return ESTIMATORS[name](**{k: v for k, v in offered.items() if k in accepted} | options)
