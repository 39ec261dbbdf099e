"""Expectations whose gradient is known, and the bounds under which estimators are tested."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from vae.certify.chains import binary_chain, gaussian_chain, one_hot_chain
from vae.certify.nodes import MOST_TERMS, nodes_of
from vae.certify.problem import MOST_COORDINATES, Problem, is_gaussian, problem_of, weights
from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.plackett_luce import PlackettLuceSubset
from vae.estimators import Estimator
from vae.objectives import CIWAE, CUBO, ELBO, IWAE, MIWAE, TVO, Average, Objective, Renyi, VRMax

__all__ = [
    "MORE_OBJECTIVES",
    "OBJECTIVES",
    "PROBLEMS",
    "Problem",
    "bernoulli_problem",
    "cases",
    "conditional_bernoulli_problem",
    "defined",
    "gaussian_problem",
    "has_truth",
    "one_hot_problem",
    "plackett_luce_problem",
]


def bernoulli_problem(num_variables: int = 3) -> Problem:
    """Independent Bernoulli variables, by their logits."""

    def make_q(logits: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)

    return problem_of(make_q, [0.8 * weights(num_variables, seed=0)], num_variables)


def one_hot_problem(num_variables: int = 2, num_categories: int = 3) -> Problem:
    """Independent one-hot variables, by their logits."""

    def make_q(logits: Tensor) -> Distribution:
        base = OneHotCategorical(logits=logits, validate_args=False)
        return Independent(base, 1, validate_args=False)

    logits = 0.8 * weights(num_variables, num_categories, seed=0)
    return problem_of(make_q, [logits], num_variables * num_categories)


def gaussian_problem(dim: int = 2) -> Problem:
    """A diagonal Gaussian in at most two dimensions, by location and log-scale."""

    def make_q(loc: Tensor, log_scale: Tensor) -> Distribution:
        base = Normal(loc, log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    loc, log_scale = 0.5 * weights(dim, seed=0), 0.3 * weights(dim, seed=3)
    return problem_of(make_q, [loc, log_scale], dim)


def conditional_bernoulli_problem(n: int = 5, k: int = 2) -> Problem:
    """Binary variables given that k of n are ones, by their logits."""
    return problem_of(
        lambda logits: ConditionalBernoulli(k, logits, validate_args=False),
        [0.8 * weights(n, seed=0)],
        n,
    )


def plackett_luce_problem(n: int = 4, k: int = 2) -> Problem:
    """The first k of n items of a Plackett-Luce ranking, by the logarithms of their weights."""
    return problem_of(
        lambda logits: PlackettLuceSubset(k, logits, validate_args=False),
        [0.8 * weights(n, seed=0)],
        n,
    )


PROBLEMS: dict[str, Problem] = {
    "bernoulli": bernoulli_problem(),
    "one_hot": one_hot_problem(),
    "conditional_bernoulli": conditional_bernoulli_problem(),
    "plackett_luce": plackett_luce_problem(),
    "gaussian": gaussian_problem(),
    "gaussian_1d": gaussian_problem(1),  # few enough coordinates for K samples by quadrature
    "binary_chain": binary_chain(),
    "one_hot_chain": one_hot_chain(),
    "gaussian_chain": gaussian_chain(),
}
"""What an estimator is certified on, where it claims the family."""

OBJECTIVES: dict[str, Objective] = {
    "elbo1": ELBO(1),
    "elbo2": ELBO(2),
    "elbo3": ELBO(3),
    "iwae2": IWAE(2),
    "iwae3": IWAE(3),
}
"""Under which bounds, where it claims them."""

MORE_OBJECTIVES: dict[str, Objective] = {
    "miwae4": MIWAE(4, 2),
    "ciwae2": CIWAE(2, 0.3),
    "renyi2": Renyi(2, 0.5),
    "renyi3": Renyi(3, -1.0),
    "cubo2": CUBO(2),
    "vr_max2": VRMax(2),
    "tvo2": TVO(2, partitions=2, beta_min=0.2),
}
"""Further reductions, for whom the bounds above are not enough: the truth is the mean of K samples."""


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
    K = 1 if isinstance(objective, Average) else objective.num_samples
    if (nodes := nodes_of(q)) is not None:
        return len(nodes.z) ** K <= MOST_TERMS and objective.smooth
    known = K * q.event_shape.numel() <= MOST_COORDINATES and objective.smooth  # by quadrature
    return known or not is_gaussian(q)


def cases(
    estimator: Estimator,
    problems: Mapping[str, Problem] = PROBLEMS,
    objectives: Mapping[str, Objective] = OBJECTIVES,
) -> list[tuple[str, str]]:
    """The names of all problems and bounds, in pairs, that an estimator claims.

    Pairs whose exact gradient is not known are left out.
    """
    return [
        (family, key)
        for family, problem in problems.items()
        for key, objective in objectives.items()
        if has_truth(problem, objective) and defined(estimator, problem, objective)
    ]
