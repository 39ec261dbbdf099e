r"""Assertions about one estimator, one problem and one bound.

Every check with randomness states its false-alarm rate and scales by the standard error: a
z-test, never a relative tolerance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.certify.exact import exact_gradient, gradients
from vae.certify.problem import Problem
from vae.estimators import Estimator
from vae.objectives import Objective

__all__ = [
    "assert_lower_variance_than",
    "assert_unbiased",
    "assert_value_unchanged",
    "assert_zero_at_optimum",
    "bias_z_scores",
    "z_limit",
]


def bias_z_scores(
    estimator: Estimator, problem: Problem, objective: Objective, n: int = 200_000
) -> Tensor:
    """The z-scores, (mean - exact) / standard error, of gradient and bound: (P + 2,).

    They are those of the P parameters of q, of a parameter of the integrand, and of the bound. A
    coordinate without variance counts as 0 if it is exact to 1e-9, and as infinite if not.
    """
    exact = torch.cat([torch.atleast_1d(t) for t in exact_gradient(problem, objective, True)])
    grads, bound = gradients(estimator, problem, objective, n, True)
    estimates = torch.cat([grads, bound[:, None]], 1)  # (n, P + 1)
    error = estimates.mean(0) - exact
    standard_error = estimates.std(0) / math.sqrt(n)
    z = error / standard_error.clamp_min(1e-300)
    still = standard_error < 1e-12
    return torch.where(still, torch.where(error.abs() < 1e-9, 0.0, math.inf), z)


def z_limit(alpha: float) -> float:
    """What a standard normal variable exceeds with probability ``alpha``."""
    return -torch.special.ndtri(torch.tensor(alpha, dtype=torch.float64)).item()


def assert_unbiased(
    estimator: Estimator,
    problem: Problem,
    objective: Objective,
    n: int = 200_000,
    alpha: float = 1e-6,
    value_too: bool = True,
) -> None:
    """Asserts that gradient and bound are right in the mean, by a two-sided z-test of each.

    Arguments:
        estimator: What is tested. Put it in evaluation mode if it has state.
        problem: An expectation with a known gradient.
        objective: K and R.
        n: Replicates.
        alpha: The family-wise false-alarm rate (Bonferroni over the coordinates).
        value_too: Whether the bound is tested with the gradient.
    """
    z = bias_z_scores(estimator, problem, objective, n)
    z = z if value_too else z[:-1]
    limit = z_limit(alpha / (2 * len(z)))
    assert z.abs().max() < limit, (
        f"{type(estimator).__name__} is biased: z = {[round(v, 1) for v in z.tolist()]},"
        f" limit {limit:.1f} at a family-wise false-alarm rate of {alpha:g}"
    )


def assert_lower_variance_than(
    estimator: Estimator,
    other: Estimator,
    problem: Problem,
    objective: Objective,
    n: int = 50_000,
    alpha: float = 1e-6,
) -> None:
    """Asserts that the trace of the gradient's covariance is lower than that of another estimator:
    a one-sided z-test of the difference between the mean squared deviations of ``n`` independent
    estimates each.

    The hypothesis that is rejected is "as high, or higher": if it holds, the assertion passes with
    a probability of at most ``alpha``, whatever n is (that is, as far as the central limit theorem
    is good). It is not symmetric: if the trace *is* lower, by d standard errors of the difference,
    the assertion fails with the probability that a standard normal variable is above d minus
    ``z_limit(alpha)``; take n large enough for d to be 10. To be used where a theorem promises
    lower variance on every problem, which is seldom.

    Arguments:
        estimator: What should have the lower variance.
        other: What it is compared with. Both may be biased: variance is about their own means.
        problem: An expectation.
        objective: K and R.
        n: Replicates of each.
        alpha: How often it passes for estimators of the same variance.
    """
    squared = []
    for each in (estimator, other):
        grads, _ = gradients(each, problem, objective, n)
        squared.append((grads - grads.mean(0)).square().sum(1) * (n / (n - 1)))  # (n,)
    low, high = (s.mean() for s in squared)
    standard_error = (sum(s.var() for s in squared) / n) ** 0.5
    z, limit = ((high - low) / standard_error.clamp_min(1e-300)).item(), z_limit(alpha)
    assert z > limit, (
        f"{estimator.extra_name()} is not seen to have a lower variance than"
        f" {other.extra_name()}: traces {low:.4g} and {high:.4g}, z = {z:.1f}, limit {limit:.1f}"
        f" at a false-pass rate of {alpha:g}"
    )


def assert_value_unchanged(
    estimator: Estimator, problem: Problem, objective: Objective, n: int = 100
) -> None:
    """Asserts that attaching a gradient did not alter the bound.

    It must be R(f) of the samples at which f was evaluated first. For estimators that evaluate f at
    one set of K samples.
    """
    seen: list[Tensor] = []

    def f(z: Tensor, q: Distribution) -> Tensor:
        seen.append(problem.f(z, q))
        return seen[-1]

    _, bound = gradients(estimator, problem._replace(f=f), objective, n)
    torch.testing.assert_close(bound, objective.reduce(seen[0]).detach(), rtol=0, atol=0)


def assert_zero_at_optimum(
    estimator: Estimator, problem: Problem, objective: Objective, atol: float = 1e-12
) -> None:
    """Asserts that every gradient *estimate*, not its mean, is zero where q is the posterior:
    there f = log p - log q is constant. A theorem for RLOO, STL, DReG and DisARM; no
    statistics."""

    def f(z: Tensor, q: Distribution) -> Tensor:
        posterior = problem.make_q(*(p[None] for p in problem.parameters))
        return 1.7 + posterior.log_prob(z) - q.log_prob(z)

    grads, _ = gradients(estimator, problem._replace(f=f), objective, 1000)
    assert grads.abs().max() <= atol, f"largest gradient {grads.abs().max():g}, not 0"
