"""Gradient estimators: one interface, one paper a class, one dictionary of names."""

from vae.estimators.antithetic import ARM, DisARM
from vae.estimators.arms import ARMS
from vae.estimators.arsm import ARS, ARSM
from vae.estimators.base import Estimate, Estimator, Integrand, attach, without_score
from vae.estimators.beyond_reinmax import ReinMaxCV, ReinMaxRao
from vae.estimators.bitflip import BitFlip, ClippedDisARM
from vae.estimators.carms import CARMS, DisARMIW
from vae.estimators.categorical_disarm import DisARMStickBreaking, DisARMTree
from vae.estimators.chi import ChiVI
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
from vae.estimators.names import ESTIMATORS, SURROGATES, accepts, constructor, named
from vae.estimators.ovis import OVIS, OVISMonteCarlo
from vae.estimators.pathwise import Pathwise, Reparameterization, Sampler
from vae.estimators.per_layer import PerLayer
from vae.estimators.quantised import RotationTrick, StraightThroughCodes
from vae.estimators.relaxed import REBAR, RELAX
from vae.estimators.rodeo import RODEO
from vae.estimators.schedule import EstimatorSchedule
from vae.estimators.score_function import (
    RLOO,
    VIMCO,
    ArithmeticLeaveOneOut,
    ArithmeticVIMCO,
    Baseline,
    Learned,
    LeaveOneOut,
    MovingAverage,
    NoBaseline,
    ScoreFunction,
)
from vae.estimators.self_critical import SelfCritical
from vae.estimators.separately import Separately
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

__all__ = [
    "ARM",
    "ARMS",
    "ARS",
    "ARSM",
    "ArithmeticLeaveOneOut",
    "ArithmeticVIMCO",
    "Baseline",
    "BitFlip",
    "CARMS",
    "ChiVI",
    "ClippedDisARM",
    "DecoupledStraightThroughGumbel",
    "DefensiveWakeWake",
    "DisARM",
    "DisARMIW",
    "DisARMStickBreaking",
    "DisARMTree",
    "DoubleControlVariates",
    "DoublyReparameterized",
    "ESTIMATORS",
    "Enumerate",
    "Estimate",
    "Estimator",
    "EstimatorSchedule",
    "FouST",
    "GappedStraightThrough",
    "GeneralizedDReG",
    "GumbelRao",
    "GumbelSoftmax",
    "GumbelTopK",
    "ImplicitMLE",
    "Integrand",
    "Learned",
    "LeaveOneOut",
    "LocalExpectation",
    "MeasureValued",
    "MovingAverage",
    "MuProp",
    "NoBaseline",
    "OVIS",
    "OVISMonteCarlo",
    "Pathwise",
    "PerLayer",
    "REBAR",
    "RELAX",
    "RLOO",
    "RODEO",
    "ReinMax",
    "ReinMaxCV",
    "ReinMaxRao",
    "Reparameterization",
    "RotationTrick",
    "SIMPLE",
    "SURROGATES",
    "Sampler",
    "ScoreFunction",
    "SelfCritical",
    "Separately",
    "StickingTheLanding",
    "StraightThrough",
    "StraightThroughCodes",
    "StraightThroughGumbel",
    "StraightThroughGumbelTopK",
    "SumAndSample",
    "UnorderedSet",
    "VIMCO",
    "WakeSleep",
    "accepts",
    "attach",
    "constructor",
    "decoupled_st_gumbel",
    "foust",
    "gapped_straight_through",
    "gumbel_rao",
    "gumbel_softmax",
    "gumbel_top_k",
    "muprop",
    "named",
    "nvil",
    "pathwise",
    "reinforce",
    "reinforce_moving_average",
    "reinmax",
    "reinmax_cv",
    "reinmax_rao",
    "simple",
    "st_gumbel",
    "st_gumbel_top_k",
    "straight_through",
    "without_score",
]
