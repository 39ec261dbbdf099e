"""What an estimator claims by its attributes, tested in all the cases that it claims."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.certify.assertions import assert_unbiased
from vae.certify.exact import gradients
from vae.certify.polynomials import of_class
from vae.certify.problems import OBJECTIVES, PROBLEMS, Problem, cases
from vae.distributions.operations import base_of, sizes
from vae.estimators import Estimator
from vae.objectives import Average, Objective

__all__ = ["assert_claims", "assert_cost", "assert_derivative"]


def assert_claims(
    estimator: Estimator,
    n: int = 50_000,
    alpha: float = 1e-6,
    problems: Mapping[str, Problem] = PROBLEMS,
    objectives: Mapping[str, Objective] = OBJECTIVES,
) -> None:
    """Asserts what an estimator claims: no bias, its cost, whether it differentiates f.

    Every problem and bound is tested that the estimator's attributes do not exclude. An estimator
    that states a bias is tested for it on the class of f alone for which it claims to be exact. The estimator is left as it is: a copy in double
    precision and evaluation mode is tested.

    Arguments:
        estimator: What is tested; ``bind`` it to a model first if it needs one.
        n: Replicates of each case.
        alpha: The false-alarm rate of all cases together.
        problems: Expectations with known gradients.
        objectives: Bounds.

    Raises:
        AssertionError: If a claim is false, or no problem and bound is claimed.
    """
    estimator = copy.deepcopy(estimator).double().eval()
    claimed = cases(estimator, problems, objectives)
    assert claimed, f"{estimator.extra_name()} is defined for none of the problems and bounds"
    for family, key in claimed:
        problem, objective = problems[family], objectives[key]
        assert_cost(estimator, problem, objective)
        assert_derivative(estimator, problem, objective)
        if estimator.bias is None:
            assert_unbiased(estimator, problem, objective, n, alpha / len(claimed))
        elif estimator.exact_for and isinstance(objective, Average):
            exact = of_class(problem, estimator.exact_for)
            assert_unbiased(estimator, exact, objective, n, alpha / len(claimed))


def assert_cost(estimator: Estimator, problem: Problem, objective: Objective) -> None:
    """Asserts that f is evaluated as often as :meth:`vae.estimators.Estimator.cost` says."""
    rows: list[int] = []

    def f(z: Tensor, q: Distribution) -> Tensor:
        rows.append(len(z))
        return problem.f(z, q)

    gradients(estimator, problem._replace(f=f), objective, 2)
    q = problem.make_q(*(p[None] for p in problem.parameters))
    claim = estimator.cost(objective.num_samples, *sizes(q), type(base_of(q)))
    assert sum(rows) == claim, (
        f"{estimator.extra_name()} evaluates f {sum(rows)} times an image, and its cost says {claim}"
    )


def assert_derivative(estimator: Estimator, problem: Problem, objective: Objective) -> None:
    """Asserts that ``needs_gradient`` is true: whether the estimate depends on f's derivative.

    What does not need it gives the same estimate where f has none.
    """

    def blind(z: Tensor, q: Distribution) -> Tensor:
        return problem.f(z.detach(), q) + 0 * z.flatten(2).sum(-1)

    gradients(estimator, problem, objective, 2)  # gives lazy layers their shape
    found: list[Tensor] = []
    for f in (problem.f, blind):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            found.append(gradients(estimator, problem._replace(f=f), objective, 50)[0])
    same, name = torch.allclose(found[0], found[1]), estimator.extra_name()
    assert same or estimator.needs_gradient, f"{name} differentiates f: set needs_gradient"
    assert not (same and estimator.needs_gradient), f"{name} does not differentiate f"
