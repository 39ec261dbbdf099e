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
from vae.estimators.bitflip import BitFlip, ClippedDisARM
from vae.estimators.carms import CARMS, DisARMIW
from vae.estimators.categorical_disarm import DisARMStickBreaking, DisARMTree
from vae.estimators.composed import (
    decoupled_st_gumbel,
    foust,
    gapped_straight_through,
    gumbel_rao,
    gumbel_softmax,
    gumbel_top_k,
    muprop,
    nvil,
    pathwise,
    reinforce,
    reinforce_moving_average,
    reinmax,
    reinmax_cv,
    reinmax_rao,
    simple,
    st_gumbel,
    st_gumbel_top_k,
    straight_through,
)
from vae.estimators.double_control_variates import DoubleControlVariates
from vae.estimators.doubly_reparameterized import (
    DoublyReparameterized,
    GeneralizedDReG,
    StickingTheLanding,
)
from vae.estimators.enumerate import Enumerate
from vae.estimators.implicit_mle import ImplicitMLE
from vae.estimators.local_expectation import LocalExpectation
from vae.estimators.measure_valued import MeasureValued
from vae.estimators.ovis import OVIS, OVISMonteCarlo
from vae.estimators.per_layer import PerLayer
from vae.estimators.quantised import RotationTrick, StraightThroughCodes
from vae.estimators.relaxed import REBAR, RELAX
from vae.estimators.rodeo import RODEO
from vae.estimators.score_function import (
    RLOO,
    VIMCO,
    ArithmeticVIMCO,
)
from vae.estimators.self_critical import SelfCritical
from vae.estimators.sum_and_sample import SumAndSample
from vae.estimators.unordered_set import UnorderedSet
from vae.estimators.wake_sleep import DefensiveWakeWake, WakeSleep
from vae.nearest import meant

__all__ = ["ESTIMATORS", "SURROGATES", "accepts", "constructor", "named"]


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
        near = meant(name, known)
        raise ValueError(f"unknown estimator {name!r}{near}: choose from {', '.join(known)}{hint}")
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
