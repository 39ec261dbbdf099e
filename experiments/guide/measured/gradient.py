"""Mean, bias and variance of an estimator's gradient, beside the exact one."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
from torch import Tensor

import vae
from vae.certify import Problem, exact_gradient, gradients, z_limit
from vae.objectives import Objective

__all__ = ["FAST", "N", "Measured", "measure", "quieter"]

FAST = os.environ.get("GUIDE_FAST", "0") == "1"
"""Whether a page is only tried."""

N = 2_000 if FAST else 20_000
"""Gradients a measurement."""


class Measured(NamedTuple):
    """What n gradients of an estimator say.

    Attributes:
        mean: Their mean, (P,).
        exact: The exact gradient, (P,).
        error: The standard error of the mean, (P,).
        variance: The sum over the P coordinates of their variances.
        variance_error: Its standard error.
        bias_squared: The squared distance of the mean from the exact gradient, less what noise adds
            to it.
        bias_error: Its standard error.
        n: How many gradients.
    """

    mean: Tensor
    exact: Tensor
    error: Tensor
    variance: float
    variance_error: float
    bias_squared: float
    bias_error: float
    n: int

    @property
    def exact_squared(self) -> float:
        """The squared length of the exact gradient, by which others are divided."""
        return float(self.exact.square().sum())

    @property
    def bias(self) -> float:
        """The bias as a share of the exact gradient's length; 0 where noise hides it."""
        return (max(self.bias_squared, 0.0) / self.exact_squared) ** 0.5

    @property
    def noise(self) -> float:
        """The variance of one gradient, in squared lengths of the exact one."""
        return self.variance / self.exact_squared

    @property
    def z(self) -> float:
        """The largest distance of a coordinate's mean from the truth, in standard errors."""
        gap = (self.mean - self.exact).abs()
        return float(torch.where(gap < 1e-9, 0.0, gap / self.error.clamp_min(1e-300)).max())

    @property
    def looks_unbiased(self) -> bool:
        """Whether no coordinate is off by more than chance allows once in a million times."""
        return self.z < z_limit(1e-6 / (2 * len(self.mean)))

    @property
    def looks_biased(self) -> bool:
        """Whether a coordinate is off by more than that."""
        return not self.looks_unbiased


def measure(
    estimator: vae.Estimator | str,
    problem: Problem,
    objective: Objective | None = None,
    n: int = N,
    seed: int = 0,
) -> Measured:
    """Draws ``n`` gradients of an estimator, and compares them with the exact one.

    Arguments:
        estimator: An estimator, or the name of one in ``vae.ESTIMATORS``.
        problem: With a known gradient.
        objective: K and the bound; by default the average of one sample.
        n: Gradients.
        seed: Of the samples.
    """
    made = vae.ESTIMATORS[estimator]() if isinstance(estimator, str) else estimator
    bound = vae.ELBO(1) if objective is None else objective
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        drawn, _ = gradients(made, problem, bound, n)  # (n, P)
    exact, _ = exact_gradient(problem, bound)
    mean, error = drawn.mean(0), drawn.std(0) / n**0.5
    squares = (drawn - mean).square().sum(1)  # (n,)
    variance, off = float(squares.mean()), mean - exact
    along = float(((drawn - mean) @ off).var() / n)
    chance = float((torch.cov(drawn.T).reshape(len(mean), -1) ** 2).sum() / n**2)
    return Measured(
        mean=mean,
        exact=exact,
        error=error,
        variance=variance,
        variance_error=float(squares.std() / n**0.5),
        bias_squared=float(off.square().sum()) - variance / n,
        bias_error=(4 * along + 2 * chance) ** 0.5,
        n=n,
    )


def quieter(low: Measured, high: Measured, sigmas: float = 4.0) -> bool:
    """Whether the variance of one is seen to be lower than that of another.

    Arguments:
        low: That of the lower variance.
        high: That of the higher one.
        sigmas: By how many standard errors of the difference.
    """
    error = (low.variance_error**2 + high.variance_error**2) ** 0.5
    return high.variance - low.variance > sigmas * error
