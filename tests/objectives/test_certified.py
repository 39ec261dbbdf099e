"""Every estimator under every reduction that it claims: z-tests against exact gradients of E[R_K].

What is certified is the mean of K samples, not the limit of many that a paper may be about. Seeded
and two-sided, at a family-wise false-alarm rate of 1e-6 each.
"""

import itertools
from functools import partial

import pytest
import torch

from vae.certify.assertions import assert_unbiased, bias_z_scores
from vae.certify.claims import assert_cost, assert_derivative
from vae.certify.exact import exact_gradient, gradients
from vae.certify.named import example
from vae.certify.problems import MORE_OBJECTIVES, PROBLEMS, cases
from vae.estimators import ESTIMATORS
from vae.objectives import CIWAE, CUBO, IWAE, MIWAE, TVO, Average, ImportanceWeighted, LogMeanExp
from vae.objectives.renyi import PowerMean

N = 20_000


def build(name):
    torch.manual_seed(0)
    return example(name).double().eval()


ALL = {name: cases(example(name), objectives=MORE_OBJECTIVES) for name in ESTIMATORS}
UNBIASED = [
    (n, *case) for n in ALL for case in ALL[n] if build(n).bias is None and n != "enumerate"
]
SOME = [  # each estimator under three of them, each of them for many estimators
    (name, *case)
    for turn, (name, own) in enumerate(ALL.items())
    for case in itertools.islice(own, turn % 5, None, max(1, -(-len(own) // 3)))
    if (name, *case) in UNBIASED
]


@pytest.mark.parametrize("name, family, key", SOME)
def test_unbiased(name, family, key):
    assert_unbiased(build(name), PROBLEMS[family], MORE_OBJECTIVES[key], N)


@pytest.mark.slow
@pytest.mark.parametrize("name, family, key", UNBIASED)
def test_unbiased_thoroughly(name, family, key):
    assert_unbiased(build(name), PROBLEMS[family], MORE_OBJECTIVES[key], 200_000)


@pytest.mark.parametrize("name, family, key", [c for c in SOME if c[1] != "gaussian"])
def test_cost_and_derivative_are_as_claimed(name, family, key):
    estimator, problem, objective = build(name), PROBLEMS[family], MORE_OBJECTIVES[key]
    assert_cost(estimator, problem, objective)
    assert_derivative(estimator, problem, objective)


def test_each_reduction_and_each_estimator_that_takes_it_is_tested():
    assert {key for _, _, key in SOME} == set(MORE_OBJECTIVES)
    assert {name for name, _, _ in SOME} == {name for name, _, _ in UNBIASED}


def test_what_is_written_for_another_reduction_refuses():
    for name, found in ALL.items():
        bounds, taken = build(name).objectives, {key for _, key in found}
        if set(bounds) & {Average, LogMeanExp}:
            assert not taken, name
        elif bounds == (ImportanceWeighted,):  # the path of the doubly reparameterized
            assert taken >= MORE_OBJECTIVES.keys() - {"miwae4", "vr_max2"}
            assert all(isinstance(MORE_OBJECTIVES[k], ImportanceWeighted) for k in taken)


def test_the_mean_of_smaller_bounds_is_in_the_mean_one_of_them():
    # too many coordinates for quadrature: the truth is that of one group
    problem = PROBLEMS["gaussian_1d"]
    exact = torch.cat([torch.atleast_1d(t) for t in exact_gradient(problem, IWAE(2))])
    for name in ("dreg", "pathwise", "reinforce"):
        torch.manual_seed(0)
        grads, bound = gradients(build(name), problem, MIWAE(4, 2), N)
        found = torch.cat([grads, bound[:, None]], 1)
        z = (found.mean(0) - exact) / (found.std(0) / N**0.5)
        assert z.abs().max() < 5.2, (name, z)


def wrong(kind, **methods):
    """The class with methods replaced."""
    return type(kind.__name__, (kind,), methods)


MUTANTS = {
    "groups mixed": (
        partial(
            wrong(MIWAE, _ungrouped=lambda self, f: f.flatten(0, 1)),
            4,
            2,
        ),
        "reinforce",
        "bernoulli",
    ),
    "a group's own terms only once": (
        partial(wrong(MIWAE, own=lambda self, f: self.reduce(f).expand_as(f) / 2), 4, 2),
        "rebar",
        "bernoulli",
    ),
    "the weight of a score that is not there": (
        partial(wrong(CIWAE, share=lambda self, f, v: CIWAE.share(self, f, v + f)), 2, 0.3),
        "disarm",
        "bernoulli",
    ),
    "squared weights of any order": (
        partial(
            wrong(PowerMean, path_weights=lambda self, f: (self.power * f).softmax(0) ** 2), 2, 0.5
        ),
        "dreg",
        "gaussian_1d",
    ),
    "the sign of the chi bound's path": (
        partial(wrong(CUBO, path_weights=lambda self, f: -CUBO.path_weights(self, f)), 2),
        "dreg",
        "gaussian_1d",
    ),
    "weights held fixed": (
        partial(
            wrong(
                TVO,
                path_weights=lambda self, f: (
                    self._along(self.widths, f)
                    * (self._along(self.points, f) * f[:, None]).softmax(0)
                ).sum(1),
            ),
            2,
            2,
            0.2,
        ),
        "dreg",
        "gaussian_1d",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_reduction_is_rejected(name):
    make, estimator, family = MUTANTS[name]
    objective = make()
    with pytest.raises(AssertionError, match="is biased"):
        assert_unbiased(build(estimator), PROBLEMS[family], objective, N)
    original = type(objective).__bases__[0]
    right = type(original.__name__, (original,), {})(*make.args)
    assert bias_z_scores(build(estimator), PROBLEMS[family], right, N).abs().max() < 6
