"""The estimators by the names that the field calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from vae.checked_arguments import checked
from vae.estimators.antithetic import ARM, DisARM
from vae.estimators.arms import ARMS
from vae.estimators.arsm import ARS, ARSM
from vae.estimators.base import Estimator
from vae.estimators.beyond_reinmax import ReinMaxCV, ReinMaxRao
from vae.estimators.bitflip import BitFlip, ClippedDisARM
from vae.estimators.carms import CARMS, DisARMIW
from vae.estimators.categorical_disarm import DisARMStickBreaking, DisARMTree
from vae.estimators.decoupled import DecoupledStraightThroughGumbel
from vae.estimators.double_control_variates import DoubleControlVariates
from vae.estimators.doubly_reparameterized import (
    DoublyReparameterized,
    GeneralizedDReG,
    StickingTheLanding,
)
from vae.estimators.enumerate import Enumerate
from vae.estimators.foust import FouST
from vae.estimators.gumbel_top_k import GumbelTopK, StraightThroughGumbelTopK
from vae.estimators.implicit_mle import ImplicitMLE
from vae.estimators.local_expectation import LocalExpectation
from vae.estimators.measure_valued import MeasureValued
from vae.estimators.muprop import MuProp
from vae.estimators.ovis import OVIS, OVISMonteCarlo
from vae.estimators.pathwise import Pathwise
from vae.estimators.per_layer import PerLayer
from vae.estimators.quantised import RotationTrick, StraightThroughCodes
from vae.estimators.relaxed import REBAR, RELAX
from vae.estimators.rodeo import RODEO
from vae.estimators.score_function import (
    RLOO,
    VIMCO,
    ArithmeticVIMCO,
    Learned,
    MovingAverage,
    ScoreFunction,
)
from vae.estimators.self_critical import SelfCritical
from vae.estimators.simple import SIMPLE
from vae.estimators.straight_through import (
    GappedStraightThrough,
    GumbelRao,
    GumbelSoftmax,
    ReinMax,
    StraightThrough,
    StraightThroughGumbel,
)
from vae.estimators.sum_and_sample import SumAndSample
from vae.estimators.unordered_set import UnorderedSet
from vae.estimators.wake_sleep import DefensiveWakeWake, WakeSleep

__all__ = ["ESTIMATORS", "SURROGATES", "accepts", "constructor", "named"]


def gumbel_softmax(temperature: float = 1.0) -> Estimator:
    """Creates the Gumbel-softmax estimator.

    Arguments:
        temperature: The temperature of the relaxation.
    """
    return Pathwise(GumbelSoftmax(temperature))


def straight_through() -> Estimator:
    """Creates the straight-through estimator."""
    return Pathwise(StraightThrough())


def gumbel_rao(temperature: float = 1.0, num_inner: int = 10) -> Estimator:
    """Creates the Gumbel-Rao estimator.

    Arguments:
        temperature: The temperature of the relaxation.
        num_inner: Draws of the noise given each vertex.
    """
    return Pathwise(GumbelRao(temperature, num_inner))


def reinmax(temperature: float = 1.0) -> Estimator:
    """Creates the ReinMax estimator.

    Arguments:
        temperature: The temperature of what the vertex is averaged with.
    """
    return Pathwise(ReinMax(temperature))


def reinmax_rao(temperature: float = 1.0, num_inner: int = 10) -> Estimator:
    """Creates the ReinMax-Rao estimator.

    Arguments:
        temperature: The temperature of the Gumbel-softmax between vertex and mean.
        num_inner: Draws of its noise given each vertex.
    """
    return Pathwise(ReinMaxRao(temperature, num_inner))


def reinmax_cv(
    temperature: float = 1.0, num_inner: int = 10, eta: float = 0.5, free: bool = False
) -> Estimator:
    """Creates the ReinMax-CV estimator.

    Arguments:
        temperature: The temperature of the Gumbel-softmax between vertex and mean.
        num_inner: Draws of its noise given each vertex.
        eta: The weight of the control variate.
        free: Whether the noise of the control variate is drawn freely, which changes the mean.
    """
    return Pathwise(ReinMaxCV(temperature, num_inner, eta, free))


def decoupled_st_gumbel(temperature: float = 1.0, forward_temperature: float = 0.5) -> Estimator:
    """Creates the straight-through Gumbel-softmax estimator with two temperatures.

    Arguments:
        temperature: The temperature of the relaxation whose derivative is taken.
        forward_temperature: That of the posterior from which vertices are drawn.
    """
    return Pathwise(DecoupledStraightThroughGumbel(temperature, forward_temperature))


def foust(low: float = 0.8) -> Estimator:
    """Creates the FouST estimator, of binary variables.

    Arguments:
        low: The least factor by which a vertex is drawn to the middle.
    """
    return Pathwise(FouST(low))


def gapped_straight_through(temperature: float = 1.0, gap: float = 1.0) -> Estimator:
    """Creates the gapped straight-through estimator.

    Arguments:
        temperature: The temperature of the softmax.
        gap: The distance, in nats, between the chosen category and the others.
    """
    return Pathwise(GappedStraightThrough(temperature, gap))


def st_gumbel(temperature: float = 1.0) -> Estimator:
    """Creates the straight-through Gumbel-softmax estimator.

    Arguments:
        temperature: The temperature of the relaxation.
    """
    return Pathwise(StraightThroughGumbel(temperature))


def simple() -> Estimator:
    """Creates the SIMPLE estimator of k-subsets."""
    return Pathwise(SIMPLE())


def gumbel_top_k(temperature: float = 1.0) -> Estimator:
    """Creates the Gumbel top-k relaxation of Plackett-Luce subsets.

    Arguments:
        temperature: The temperature of the relaxation.
    """
    return Pathwise(GumbelTopK(temperature))


def st_gumbel_top_k(temperature: float = 1.0) -> Estimator:
    """Creates the straight-through Gumbel top-k estimator.

    Arguments:
        temperature: The temperature of the relaxation.
    """
    return Pathwise(StraightThroughGumbelTopK(temperature))


def reinforce_moving_average(decay: float = 0.99) -> Estimator:
    """Creates REINFORCE with a moving average of earlier f as its baseline.

    Arguments:
        decay: The weight of the past in the average.
    """
    return ScoreFunction(MovingAverage(decay))


def pathwise() -> Estimator:
    """Creates the pathwise estimator: the reparameterization trick."""
    return Pathwise()


def reinforce() -> Estimator:
    """Creates REINFORCE: the score function without a baseline."""
    return ScoreFunction()


def nvil(hidden: int = 100, centre: bool = False, scale: bool = False) -> Estimator:
    """Creates the NVIL estimator: the score function with a learned baseline of the image.

    Arguments:
        hidden: The width of the baseline's hidden layer.
        centre: Whether the running mean of what it leaves of f is added to it.
        scale: Whether the gradient of q is divided by the signal's standard deviation in earlier
            steps.
    """
    return ScoreFunction(Learned(hidden, centre), scale)


def muprop(hidden: int | None = None, centre: bool = False, scale: bool = False) -> Estimator:
    """Creates the MuProp estimator.

    Arguments:
        hidden: The width of the hidden layer of a learned baseline; None for no such baseline.
        centre: Whether the running mean of what is left of f is subtracted.
        scale: Whether the gradient of q is divided by the signal's standard deviation in earlier
            steps.
    """
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
    "decoupled_st_gumbel": decoupled_st_gumbel,
    "gumbel_rao": gumbel_rao,
    "gst": gapped_straight_through,
    "reinmax": reinmax,
    "simple": simple,
    "gumbel_top_k": gumbel_top_k,
    "st_gumbel_top_k": st_gumbel_top_k,
    "imle": ImplicitMLE,
    "reinmax_rao": reinmax_rao,
    "reinmax_cv": reinmax_cv,
    "foust": foust,
    "reinforce": reinforce,
    "reinforce_moving_average": reinforce_moving_average,
    "nvil": nvil,
    "rloo": RLOO,
    "vimco": VIMCO,
    "vimco_arithmetic": ArithmeticVIMCO,
    "self_critical": SelfCritical,
    "muprop": muprop,
    "double_cv": DoubleControlVariates,
    "rodeo": RODEO,
    "ovis": OVIS,
    "ovis_mc": OVISMonteCarlo,
    "rebar": REBAR,
    "relax": RELAX,
    "arm": ARM,
    "disarm": DisARM,
    "arms": ARMS,
    "bitflip_1": BitFlip,
    "ugc": ClippedDisARM,
    "ars": ARS,
    "arsm": ARSM,
    "carms": CARMS,
    "disarm_iw": DisARMIW,
    "disarm_sb": DisARMStickBreaking,
    "disarm_tree": DisARMTree,
    "unordered_set": UnorderedSet,
    "sum_and_sample": SumAndSample,
    "measure_valued": MeasureValued,
    "local_expectation": LocalExpectation,
    "wake_sleep": WakeSleep,
    "defensive_wake_wake": DefensiveWakeWake,
    "per_layer": PerLayer,
    "enumerate": Enumerate,
}
"""Paper name to class, or to a function that composes several: ``ESTIMATORS["nvil"](hidden=50)``."""


SURROGATES: dict[str, Callable[..., Estimator]] = {
    "straight_through_codes": StraightThroughCodes,
    "rotation_trick": RotationTrick,
}
"""Estimators of point masses, by name. Their exact gradient is zero: none can be certified."""


def constructor(name: str) -> Callable[..., Estimator]:
    """The class or function of a name.

    Raises:
        ValueError: If the name is unknown.
    """
    known = ESTIMATORS | SURROGATES
    if name not in known:
        hint = f"; or the class path of your own ({name} was not found)" if "." in name else ""
        raise ValueError(f"unknown estimator {name!r}: choose from {', '.join(known)}{hint}")
    return known[name]


def named(name: str, options: Mapping[str, Any] | None = None) -> Estimator:
    """The estimator of a name, with options that a configuration gives.

    Arguments:
        name: A name in ``ESTIMATORS``.
        options: Arguments of its class or function, of plain types.

    Raises:
        ValueError: If the name is unknown, or an option is unknown, of another type or out of its
            range.
    """
    make = constructor(name)
    arguments = checked(f"estimator {name}", make, options) if options else {}
    try:
        return make(**arguments)
    except ValueError as error:
        raise ValueError(f"estimator {name}: {error}") from None


def accepts(name: str, option: str) -> bool:
    """Whether the estimator of a name has an option.

    Raises:
        ValueError: If the name is unknown.
    """
    return option in inspect.signature(constructor(name)).parameters
