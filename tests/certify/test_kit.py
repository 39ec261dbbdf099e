"""The kit, for an estimator that the package does not know: every false claim is caught.

Statistical tests are seeded, at a false-alarm rate of 1e-6 each.
"""

import copy
import doctest

import pytest
import torch
from torch.distributions import Normal

import vae.certify
from vae.certify import OBJECTIVES, PROBLEMS, assert_claims, bernoulli_problem, cases
from vae.estimators import ESTIMATORS, Estimate, Estimator, attach, without_score
from vae.objectives import ELBO, Average


class Mine(Estimator):
    """REINFORCE, with nothing of the package's own score function."""

    def estimate(self, q, f, objective, context):
        z = q.sample(torch.Size([objective.num_samples]))
        fz = f(z, without_score(q, objective))
        surrogate = (objective.signal(fz.detach()) * q.log_prob(z)).sum(0)
        return Estimate(attach(objective.reduce(fz), surrogate))


class Dear(Mine):
    """It evaluates f again, and does not say so."""

    def estimate(self, q, f, objective, context):
        f(q.sample(torch.Size([1])), q)
        return super().estimate(q, f, objective, context)


class Differentiates(Mine):
    families = (Normal,)

    def estimate(self, q, f, objective, context):
        return Estimate(objective.reduce(f(q.rsample(torch.Size([objective.num_samples])), q)))


class SaysItDifferentiates(Mine):
    needs_gradient = True


class Wrong(Mine):
    """Every score is weighed by the sum, and not by the mean."""

    objectives = (Average,)
    min_samples = 2

    def estimate(self, q, f, objective, context):
        z = q.sample(torch.Size([objective.num_samples]))
        fz = f(z, without_score(q, objective))
        return Estimate(attach(fz.mean(0), (fz.detach() * q.log_prob(z)).sum(0)))


class SaysItIsBiased(Wrong):
    bias = "K times the gradient"


class Nowhere(Mine):
    families = ()


def test_the_example_in_the_documentation_runs():
    result = doctest.testmod(vae.certify)
    assert result.attempted > 5 and result.failed == 0


def test_an_estimator_from_outside_is_certified_and_left_as_it_is():
    mine = Mine()
    mine.register_buffer("number", torch.tensor(1.0))
    state = copy.deepcopy(mine.state_dict())
    assert Mine not in ESTIMATORS.values()
    assert_claims(mine, n=2_000)
    assert mine.training and mine.number.dtype == state["number"].dtype


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Dear, "Dear evaluates f 2 times an image, and its cost says 1"),
        (Differentiates, "Differentiates differentiates f: set needs_gradient"),
        (SaysItDifferentiates, "SaysItDifferentiates does not differentiate f"),
        (Wrong, "Wrong is biased"),
        (Nowhere, "Nowhere is defined for none of the problems and bounds"),
    ],
)
def test_a_false_claim_is_caught(kind, message):
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=message):
        assert_claims(kind(), n=5_000)


def test_who_states_a_bias_is_not_tested_for_it():
    assert_claims(SaysItIsBiased(), n=10)


def test_problems_and_bounds_of_one_s_own_are_tested():
    problems = {"mine": bernoulli_problem(2)}
    assert cases(Wrong(), problems, {"one": ELBO(1), "four": ELBO(4)}) == [("mine", "four")]
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match="is biased"):
        assert_claims(Wrong(), 5_000, problems=problems, objectives={"four": ELBO(4)})


def test_cases_are_what_is_claimed_and_known():
    every = [(p, o) for p in PROBLEMS for o in OBJECTIVES]
    unknown = {
        ("gaussian", "iwae3"),
        ("gaussian_chain", "iwae3"),
    }  # quadrature over six coordinates
    assert cases(Mine()) == [case for case in every if case not in unknown]
    assert {key for _, key in cases(Wrong())} == {"elbo2", "elbo3"}


def test_no_module_of_the_kit_but_one_knows_names():
    for part in ("problems", "exact", "assertions", "claims"):
        assert not hasattr(getattr(vae.certify, part), "ESTIMATORS"), part
