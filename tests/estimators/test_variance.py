"""Theorems about variance, where there are any: Rao-Blackwell in the main; and the test that
checks them, which must be able to fail.

One-sided z-tests of traces of covariances: each passes with a probability of at most 1e-6 where
the variance is not lower. The differences here are about 12 standard errors and more, at which it
fails with a probability below 1e-11, were its seed redrawn.
"""

import pytest
import torch

from vae.certify.assertions import assert_lower_variance_than
from vae.certify.named import example
from vae.certify.problems import OBJECTIVES, PROBLEMS, defined
from vae.distributions.operations import support
from vae.estimators import (
    ESTIMATORS,
    Baseline,
    Estimate,
    Pathwise,
    ScoreFunction,
    attach,
    named,
)
from vae.estimators.straight_through import GumbelRao, StraightThroughGumbel
from vae.objectives import ELBO

N = 50_000


@pytest.mark.parametrize("key", ["elbo1", "elbo3", "iwae3"])
def test_disarm_below_arm(key):
    # the noise integrated out given the pair (Dong et al., 2020): whatever f, and whatever R,
    # which sees the pairs only
    assert_lower_variance_than(
        named("disarm"), named("arm"), PROBLEMS["bernoulli"], OBJECTIVES[key], N
    )


@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize("key", ["elbo1", "iwae2"])
@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
def test_gumbel_rao_below_the_straight_through_gumbel_softmax(family, key, temperature):
    # the derivative averaged over the noise given the vertices (Paulus et al., 2021), of which
    # alone f and R are functions
    rao, plain = GumbelRao(temperature), StraightThroughGumbel(temperature)
    n = N if family == "one_hot" else 3 * N  # two categories leave less noise to average
    assert_lower_variance_than(
        Pathwise(rao), Pathwise(plain), PROBLEMS[family], OBJECTIVES[key], n
    )


@pytest.mark.parametrize("key", ["elbo1", "elbo3"])
@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
def test_local_expectations_below_reinforce(family, key):
    # the term of each sample, averaged over one variable given all the rest
    assert_lower_variance_than(
        named("local_expectation"), named("reinforce"), PROBLEMS[family], OBJECTIVES[key], N
    )


@pytest.mark.parametrize("key", ["elbo1", "iwae3"])
def test_arsm_below_ars(key):
    # the mean over all references given the noise (Yin et al., 2019)
    assert_lower_variance_than(
        named("arsm"), named("ars"), PROBLEMS["one_hot"], OBJECTIVES[key], N
    )


@pytest.mark.parametrize("key", ["elbo1", "iwae3"])
def test_local_expectations_below_a_flipped_bit(key):
    # the mean over all bits given the sample
    assert_lower_variance_than(
        named("local_expectation"), named("bitflip_1"), PROBLEMS["bernoulli"], OBJECTIVES[key], N
    )


class Constant(Baseline):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, f, context):
        return torch.full_like(f, self.value), 0.0


@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
def test_sum_and_sample_below_the_share_of_what_is_sampled(family):
    # given whether, and where, a sample falls into the sum (Liu et al., 2019): the variance of the
    # score function with the same constant baseline is lower by a factor of 1 - Q, or more
    problem, T = PROBLEMS[family], 3
    q = problem.make_q(*(p[None] for p in problem.parameters))
    z = support(q)
    log_q, f = q.log_prob(z)[:, 0], problem.f(z, q)[:, 0]
    top = log_q.topk(T).indices
    q_top = log_q[top].exp()
    baseline = ((q_top * f[top]).sum() / q_top.sum()).item()
    share = 1 - q_top.sum().item()
    assert 0.1 < share < 0.5

    class Scaled(ScoreFunction):
        def estimate(self, q, f, objective, context):
            bound = super().estimate(q, f, objective, context).bound
            return Estimate(attach(bound.detach(), bound * share**0.5))

    assert_lower_variance_than(
        named("sum_and_sample", {"summed": T}), Scaled(Constant(baseline)), problem, ELBO(1), N
    )


def discrete_case(name):
    """A problem and a bound that can be enumerated; None if the estimator claims none."""
    for family in ("one_hot", "bernoulli"):
        for key in ("iwae3", "elbo3"):
            if defined(example(name), PROBLEMS[family], OBJECTIVES[key]):
                return family, key
    return None


@pytest.mark.parametrize("name", [n for n in ESTIMATORS if n != "enumerate" and discrete_case(n)])
def test_enumeration_below_everything(name):
    family, key = discrete_case(name)
    estimator = named(name).double()
    assert_lower_variance_than(
        named("enumerate"), estimator, PROBLEMS[family], OBJECTIVES[key], 2_000
    )


# The test of variance itself -------------------------------------------------------------------


@pytest.mark.parametrize(
    "low, high, key", [("disarm", "arm", "elbo1"), ("enumerate", "reinforce", "iwae2")]
)
def test_it_fails_the_other_way_round(low, high, key):
    with pytest.raises(AssertionError, match="not seen to have a lower variance"):
        assert_lower_variance_than(
            named(high), named(low), PROBLEMS["bernoulli"], OBJECTIVES[key], 10_000
        )


@pytest.mark.parametrize("name", ["enumerate", "reinforce"])
def test_it_fails_for_an_estimator_and_itself(name):
    with pytest.raises(AssertionError, match="not seen to have a lower variance"):
        assert_lower_variance_than(
            named(name), named(name), PROBLEMS["bernoulli"], OBJECTIVES["elbo2"], 10_000
        )


def test_estimators_of_one_variance_pass_as_often_as_stated():
    # at 5 %, of 1000 tries: the binomial law leaves 20 to 87 with a probability of 1e-6
    passed, score = 0, named("reinforce")
    for _ in range(1000):
        try:
            assert_lower_variance_than(
                score, score, PROBLEMS["bernoulli"], OBJECTIVES["elbo1"], n=1000, alpha=0.05
            )
            passed += 1
        except AssertionError:
            continue
    assert 20 <= passed <= 87


def test_a_small_difference_takes_many_estimates():
    arms = (named("disarm"), named("arm"), PROBLEMS["bernoulli"], OBJECTIVES["elbo1"])
    with pytest.raises(AssertionError, match="limit 4.8 at a false-pass rate of 1e-06"):
        assert_lower_variance_than(*arms, n=50)
