"""Expectations of continuous families in one or two dimensions.

Beside :data:`vae.certify.problems.PROBLEMS`, on which every estimator is certified in ``make
test``: on these, what is particular to a family is tested there, and all estimators in ``make
test-slow``, or by ``assert_claims(estimator, problems=FAMILY_PROBLEMS)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.certify.problem import Problem, problem_of
from vae.distributions.gaussian_mixture import GaussianMixture, StratifiedGaussianMixture
from vae.distributions.kumaraswamy import Kumaraswamy
from vae.distributions.laplace import Laplace
from vae.distributions.logistic_normal import LogisticNormal
from vae.distributions.multivariate_normal import MultivariateNormal
from vae.distributions.power_spherical import PowerSpherical

__all__ = ["FAMILY_PROBLEMS"]


def _numbers(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _independent(family: Callable[..., Distribution], *logs: bool) -> Callable[..., Distribution]:
    """Parameters, some given by their logarithms, to independent variables of a family."""

    def make_q(*values: Tensor) -> Distribution:
        given = [v.exp() if log else v for v, log in zip(values, logs, strict=True)]
        return Independent(family(*given, validate_args=False), 1, validate_args=False)

    return make_q


def full_gaussian_problem() -> Problem:
    """A Gaussian with a full covariance in two dimensions, by its location and its factor."""

    def make_q(loc: Tensor, factor: Tensor) -> Distribution:
        tril = factor.tril(-1) + torch.diag_embed(factor.diagonal(dim1=-2, dim2=-1).exp())
        return MultivariateNormal(loc, scale_tril=tril, validate_args=False)

    return problem_of(make_q, [_numbers([0.7, -0.3]), _numbers([[-0.3, 0.0], [0.6, -0.2]])], 2)


def power_spherical_problem() -> Problem:
    """A direction in three dimensions, by any vector along its mean and its log-concentration."""

    def make_q(vector: Tensor, log_concentration: Tensor) -> Distribution:
        loc = vector / vector.norm(dim=-1, keepdim=True)
        base = PowerSpherical(loc, log_concentration.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    return problem_of(make_q, [_numbers([[0.3, -0.5, 0.9]]), _numbers([1.2])], 3)


def gaussian_mixture_problem(dim: int, stratified: bool = False) -> Problem:
    """A mixture of two Gaussians, by locations and log-scales and, unless stratified, by logits."""

    def make_q(loc: Tensor, log_scale: Tensor, *logits: Tensor) -> Distribution:
        if stratified:
            return StratifiedGaussianMixture(loc, log_scale.exp(), validate_args=False)
        (given,) = logits
        return GaussianMixture(given, loc, log_scale.exp(), validate_args=False)

    loc = _numbers([[-0.9, 0.2], [0.8, 0.9]])[:, :dim]
    log_scale = _numbers([[-0.4, -0.1], [-0.2, -0.5]])[:, :dim]
    logits = [] if stratified else [_numbers([0.3, -0.4])]
    return problem_of(make_q, [loc, log_scale, *logits], dim)


FAMILY_PROBLEMS: dict[str, Problem] = {
    "full_gaussian": full_gaussian_problem(),
    "laplace": problem_of(
        _independent(Laplace, False, True), [_numbers([0.4]), _numbers([-0.3])], 1
    ),
    "logistic_normal": problem_of(
        _independent(LogisticNormal, False, True), [_numbers([[0.3]]), _numbers([[-0.2]])], 2
    ),
    "kumaraswamy": problem_of(
        _independent(Kumaraswamy, True, True), [_numbers([0.5]), _numbers([0.3])], 1
    ),
    "power_spherical": power_spherical_problem(),
    "gaussian_mixture": gaussian_mixture_problem(2),
    "gaussian_mixture_1d": gaussian_mixture_problem(1),
    "stratified_mixture": gaussian_mixture_problem(1, stratified=True),
}
"""What the latent families of :mod:`vae.models.latents` are certified on, by name."""
