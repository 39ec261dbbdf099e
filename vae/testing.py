r"""The kit that certifies a gradient estimator, ours or anyone's.

Every check with randomness states its false-alarm rate and scales by the standard error: a
z-test, never a relative tolerance.

    >>> from vae.testing import assert_unbiased, bernoulli_problem
    >>> from vae.estimators import LeaveOneOut, ScoreFunction
    >>> from vae.objectives import ELBO
    >>> assert_unbiased(ScoreFunction(LeaveOneOut()), bernoulli_problem(), ELBO(3))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from vae.distributions import OneHotCategorical, base_of
from vae.estimators import ESTIMATORS, Enumerate, Estimator, Integrand, build
from vae.objectives import ELBO, IWAE, Objective

__all__ = [
    "OBJECTIVES",
    "PROBLEMS",
    "Problem",
    "assert_lower_variance_than",
    "assert_unbiased",
    "assert_value_unchanged",
    "assert_zero_at_optimum",
    "bernoulli_problem",
    "bias_z_scores",
    "cases",
    "defined",
    "example_prior",
    "exact_gradient",
    "gaussian_problem",
    "gradients",
    "has_truth",
    "one_hot_problem",
    "z_limit",
]


class Problem(NamedTuple):
    """An expectation whose gradient is known: a family, its parameters, and an integrand.

    Attributes:
        make_q: Parameters, each ``(B, *shape)``, to a distribution with batch shape (B,).
        parameters: The point at which the gradient is taken, each ``(*shape)``.
        f: The integrand; non-linear, non-separable, and with ``-log q(z)`` inside.
        log_target: log p(z), unnormalised: ``f = log_target - log q``.
    """

    make_q: Callable[..., Distribution]
    parameters: Sequence[Tensor]
    f: Integrand
    log_target: Callable[[Tensor], Tensor]


def _weights(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _problem(
    make_q: Callable[..., Distribution], parameters: Sequence[Tensor], features: int
) -> Problem:
    w, v = _weights(4, features, seed=1), _weights(4, seed=2)

    def log_target(z: Tensor) -> Tensor:
        flat = z.flatten(2) if z.dim() > 3 else z  # (K, B, D)
        return (torch.tanh(flat.to(w.dtype) @ w.T) @ v) - 0.1 * (flat.sum(-1) - 1) ** 2

    def f(z: Tensor, q: Distribution) -> Tensor:
        return log_target(z) - q.log_prob(z)

    return Problem(make_q, parameters, f, log_target)


def bernoulli_problem(num_variables: int = 3) -> Problem:
    """Independent Bernoulli variables, by their logits."""

    def make_q(logits: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)

    return _problem(make_q, [0.8 * _weights(num_variables, seed=0)], num_variables)


def one_hot_problem(num_variables: int = 2, num_categories: int = 3) -> Problem:
    """Independent one-hot variables, by their logits."""

    def make_q(logits: Tensor) -> Distribution:
        base = OneHotCategorical(logits=logits, validate_args=False)
        return Independent(base, 1, validate_args=False)

    logits = 0.8 * _weights(num_variables, num_categories, seed=0)
    return _problem(make_q, [logits], num_variables * num_categories)


def gaussian_problem(dim: int = 2) -> Problem:
    """A diagonal Gaussian in at most two dimensions, by location and log-scale."""

    def make_q(loc: Tensor, log_scale: Tensor) -> Distribution:
        base = Normal(loc, log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    loc, log_scale = 0.5 * _weights(dim, seed=0), 0.3 * _weights(dim, seed=3)
    return _problem(make_q, [loc, log_scale], dim)


PROBLEMS: dict[str, Problem] = {
    "bernoulli": bernoulli_problem(),
    "one_hot": one_hot_problem(),
    "gaussian": gaussian_problem(),
    "gaussian_1d": gaussian_problem(1),  # few enough coordinates for K samples by quadrature
}
"""What every estimator in ``ESTIMATORS`` is certified on, where it claims the family."""

OBJECTIVES: dict[str, Objective] = {
    "elbo1": ELBO(1),
    "elbo2": ELBO(2),
    "elbo3": ELBO(3),
    "iwae2": IWAE(2),
    "iwae3": IWAE(3),
}
"""And under which bounds, where it claims them."""


def example_prior() -> Distribution:
    """A prior to build the estimators that ask for one."""
    base = Normal(torch.zeros(1), torch.ones(1), validate_args=False)
    return Independent(base, 1, validate_args=False)


def defined(estimator: Estimator, problem: Problem, objective: Objective) -> bool:
    """Whether an estimator claims a problem and a bound."""
    q = problem.make_q(*(p[None] for p in problem.parameters))
    try:
        estimator.check(q, objective)
    except (NotImplementedError, ValueError):
        return False
    return True


def has_truth(problem: Problem, objective: Objective) -> bool:
    """Whether :func:`exact_gradient` knows the answer."""
    q = problem.make_q(*(p[None] for p in problem.parameters))
    K = 1 if objective.linear else objective.num_samples
    return not isinstance(base_of(q), Normal) or K * q.event_shape.numel() <= 3


def cases() -> list[tuple[str, str, str]]:
    """All (estimator, problem, objective), by name, that the claims of ``ESTIMATORS`` promise."""
    return [
        (name, family, key)
        for name in ESTIMATORS
        for family, problem in PROBLEMS.items()
        for key, objective in OBJECTIVES.items()
        if has_truth(problem, objective)
        and defined(build(name, prior=example_prior), problem, objective)
    ]


def _with_model(problem: Problem, n: int) -> tuple[Tensor, Integrand]:
    """A parameter of the model, (n,) zeros, and the integrand with it: f + theta * tanh(w . z),
    whose value is that of f."""
    theta = torch.zeros(n, dtype=torch.float64, requires_grad=True)

    def f(z: Tensor, q: Distribution) -> Tensor:
        flat = z.flatten(2).to(theta.dtype)
        return problem.f(z, q) + theta * torch.tanh(
            flat @ torch.linspace(-1, 2, flat.shape[2]).to(flat)
        )

    return theta, f


def gradients(
    estimator: Estimator, problem: Problem, objective: Objective, n: int, model: bool = False
) -> tuple[Tensor, Tensor]:
    """``n`` independent estimates of the gradient, with shape (n, P), and of the bound, (n,); with
    ``model`` also that of a parameter of the integrand, as a decoder has them: (n, P + 1).

    The batch dimension is the replicate dimension: one backward pass gives them all.
    """
    leaves = [p.expand(n, *p.shape).clone().requires_grad_() for p in problem.parameters]
    q = problem.make_q(*leaves)
    context = torch.ones(n, 1, dtype=leaves[0].dtype)
    theta, f = _with_model(problem, n)
    estimator.to(leaves[0].dtype)  # its own parameters
    bound = estimator(q, f, objective, context).bound  # (n,)
    grads = torch.autograd.grad(
        bound.sum(), [*leaves, theta] if model else leaves, materialize_grads=True
    )
    return torch.cat([g.view(n, -1) for g in grads], 1), bound.detach()


def exact_gradient(
    problem: Problem, objective: Objective, model: bool = False
) -> tuple[Tensor, Tensor]:
    """The gradient of the expectation, (P,) or, with the model's parameter, (P + 1,), and its
    value, ().

    By enumeration for a discrete family; by Gauss-Hermite quadrature for a Gaussian, over all K x
    D coordinates together (of an average: over the D of one sample).

    Raises:
        NotImplementedError: If the family is neither enumerable nor Gaussian.
        ValueError: If a Gaussian has more than three coordinates to integrate over.
    """
    leaves = [p[None].clone().requires_grad_() for p in problem.parameters]
    q = problem.make_q(*leaves)
    theta, f = _with_model(problem, 1)
    if isinstance(getattr(q, "base_dist", q), Normal):
        value = _quadrature(q, f, objective)
    else:
        value = Enumerate()(q, f, objective).bound.sum()
    grads = torch.autograd.grad(
        value, [*leaves, theta] if model else leaves, materialize_grads=True
    )
    return torch.cat([g.flatten() for g in grads]), value.detach()


def _quadrature(q: Distribution, f: Integrand, objective: Objective) -> Tensor:
    assert isinstance(q, Independent)
    K, D = (1 if objective.linear else objective.num_samples), q.event_shape.numel()
    if K * D > 3:
        raise ValueError(f"quadrature over {K} x {D} coordinates is too large: at most 3")
    n = 120 if K * D <= 2 else 64
    # The eigenvalues of the Jacobi matrix of Hermite polynomials are the nodes (Golub & Welsch,
    # 1969).
    jacobi = torch.diag(torch.arange(1, n, dtype=torch.float64).sqrt(), 1)
    nodes, vectors = torch.linalg.eigh(jacobi + jacobi.T)
    log_w = vectors[0].square().log()
    grid = torch.cartesian_prod(*[torch.arange(n)] * (K * D)).view(-1, K, D)  # (S, K, D)
    z = q.base_dist.loc + q.base_dist.scale * nodes[grid]  # (S, K, D)
    fz = f(z.transpose(0, 1), q.expand(torch.Size([len(grid)])))  # (K, S)
    return (log_w[grid].sum((1, 2)).exp() * objective.reduce(fz)).sum()


def bias_z_scores(
    estimator: Estimator, problem: Problem, objective: Objective, n: int = 200_000
) -> Tensor:
    """(mean - exact) / standard error of each gradient coordinate, of that of a parameter of the
    integrand, and of the bound: (P + 2,).

    A coordinate with no variance counts as 0 if it is exact to 1e-9, and as infinite if not.
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
    """Asserts that the bound is R(f) of the samples at which f was evaluated first: that attaching
    a gradient did not alter it. For estimators that evaluate f at one set of K samples."""
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
