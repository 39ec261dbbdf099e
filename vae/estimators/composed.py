"""Estimators that are composed of a sampler or a baseline: a function for each paper name."""

from __future__ import annotations

from vae.estimators.base import Estimator
from vae.estimators.beyond_reinmax import ReinMaxCV, ReinMaxRao
from vae.estimators.decoupled import DecoupledStraightThroughGumbel
from vae.estimators.foust import FouST
from vae.estimators.gumbel_top_k import GumbelTopK, StraightThroughGumbelTopK
from vae.estimators.muprop import MuProp
from vae.estimators.pathwise import Pathwise
from vae.estimators.score_function import (
    Learned,
    MovingAverage,
    ScoreFunction,
)
from vae.estimators.simple import SIMPLE
from vae.estimators.straight_through import (
    GappedStraightThrough,
    GumbelRao,
    GumbelSoftmax,
    ReinMax,
    StraightThrough,
    StraightThroughGumbel,
)

__all__ = [
    "decoupled_st_gumbel",
    "foust",
    "gapped_straight_through",
    "gumbel_rao",
    "gumbel_softmax",
    "gumbel_top_k",
    "muprop",
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
]


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
