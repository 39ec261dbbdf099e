"""Every estimator against the exact gradient: value, bias, power of the bias test, optimum,
parameters.

Statistical tests are seeded and two-sided at a family-wise false-alarm rate of 1e-6 each.
"""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal

from vae.certify.assertions import (
    assert_unbiased,
    assert_value_unchanged,
    assert_zero_at_optimum,
    bias_z_scores,
)
from vae.certify.claims import assert_cost, assert_derivative
from vae.certify.exact import exact_gradient, gradients
from vae.certify.named import example, named_cases
from vae.certify.problems import (
    OBJECTIVES,
    PROBLEMS,
    bernoulli_problem,
    defined,
)
from vae.distributions.operations import base_of
from vae.estimators import ESTIMATORS, Enumerate, MovingAverage, ScoreFunction, named
from vae.objectives import ELBO, IWAE

SCORES = ("reinforce", "reinforce_moving_average", "nvil", "rloo", "vimco")
N = 20_000


def build(name):
    """The estimator in a state it has in mid-training: averages that are not zero, weights
    drawn."""
    torch.manual_seed(0)
    estimator = example(name).double()
    for module in estimator.modules():
        if isinstance(module, MovingAverage):
            module.average.fill_(0.3)
            module.weight.fill_(0.5)
    return estimator.eval()


CASES = named_cases()
UNBIASED = [c for c in CASES if build(c[0]).bias is None]
BIASED = [c for c in CASES if build(c[0]).bias is not None]


@pytest.mark.parametrize("name, family, key", UNBIASED)
def test_unbiased(name, family, key):
    n = 3 if name == "enumerate" else N  # exact: no replicates needed
    assert_unbiased(build(name), PROBLEMS[family], OBJECTIVES[key], n)


@pytest.mark.slow
@pytest.mark.parametrize("name, family, key", [c for c in UNBIASED if c[0] != "enumerate"])
def test_unbiased_thoroughly(name, family, key):
    for seed in range(3):
        torch.manual_seed(seed)
        assert_unbiased(build(name), PROBLEMS[family], OBJECTIVES[key], 500_000, alpha=3e-7)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in BIASED}))
def test_the_biased_are_seen_to_be(name):
    # each on the problem where it shows most: some are nearly right on others
    z = [
        bias_z_scores(build(name), PROBLEMS[family], OBJECTIVES[key], 100_000)[:-1].abs().max()
        for n, family, key in BIASED
        if n == name and key in ("elbo2", "iwae2")
    ]
    assert max(z) > 8


def test_every_estimator_is_in_the_matrix():
    assert {name for name, _, _ in CASES} == set(ESTIMATORS)
    assert {name for name, _, _ in UNBIASED + BIASED} == set(ESTIMATORS)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_not_claimed_is_refused_by_name(name):
    estimator, refused = build(name), 0
    for problem in PROBLEMS.values():
        q = problem.make_q(*(p.expand(2, *p.shape) for p in problem.parameters))
        for objective in OBJECTIVES.values():
            if defined(estimator, problem, objective):
                continue
            with pytest.raises((NotImplementedError, ValueError)) as error:
                estimator(q, problem.f, objective, torch.ones(2, 1).double())
            words = str(error.value)
            assert estimator.extra_name() in words
            family, bound = type(base_of(q)).__name__, type(objective).__name__
            assert family in words or bound in words or "num_samples" in words
            refused += 1
    total = len(PROBLEMS) * len(OBJECTIVES)
    assert (
        refused
        + sum(defined(estimator, p, o) for p in PROBLEMS.values() for o in OBJECTIVES.values())
        == total
    )


@pytest.mark.parametrize("name, family, key", [c for c in CASES if c[2] in ("elbo3", "iwae3")])
def test_evaluations_are_as_many_as_claimed(name, family, key):
    assert_cost(build(name), PROBLEMS[family], OBJECTIVES[key])


@pytest.mark.parametrize("name, family, key", [c for c in CASES if c[2] in ("elbo3", "iwae3")])
def test_claims_about_the_derivative_of_f(name, family, key):
    assert_derivative(build(name), PROBLEMS[family], OBJECTIVES[key])


@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
def test_gumbel_softmax_loses_its_bias_as_the_temperature_falls(family):
    problem, errors = PROBLEMS[family], []
    exact, _ = exact_gradient(problem, ELBO(1))
    for temperature in (2.0, 0.5, 0.1):
        torch.manual_seed(0)
        estimator = ESTIMATORS["gumbel_softmax"](temperature=temperature)
        grads, _ = gradients(estimator, problem, ELBO(1), 200_000)
        errors.append((grads.mean(0) - exact).norm())
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0


# Power: the other mutants are in mutant_estimators.py ------------------------------------------


class CurrentCostFirst(MovingAverage):
    """The mutant that a public library ships: the average already contains the current cost."""

    def forward(self, f, context):
        if self.training:
            self.average.lerp_(f.mean().to(self.average.dtype), 1 - self.decay)
        return self.average.to(f.dtype).expand_as(f), 0.0


@pytest.mark.parametrize("baseline, biased", [(MovingAverage, False), (CurrentCostFirst, True)])
def test_a_moving_average_of_earlier_costs_is_unbiased_at_batch_size_one(baseline, biased):
    # one image a step, 4000 steps: the errors are martingale differences, so the z-test holds
    problem, objective = PROBLEMS["bernoulli"], ELBO(1)
    exact, _ = exact_gradient(problem, objective)
    estimator = ScoreFunction(baseline(decay=0.5)).train()
    grads = torch.cat([gradients(estimator, problem, objective, 1)[0] for _ in range(4000)])
    z = (grads.mean(0) - exact) / (grads.std(0) / math.sqrt(len(grads)))
    assert bool(z.abs().max() > 5.2) == biased, z  # family-wise 1e-6


def test_the_moving_average_is_of_earlier_costs_and_stands_still_in_evaluation():
    baseline, f = MovingAverage(decay=0.9), torch.tensor([[2.0, 4.0]])
    values = [baseline(f, None)[0][0, 0].item() for _ in range(3)]
    assert values == pytest.approx([0.0, 3.0, 3.0])  # corrected for its start, as in Adam
    before = baseline.average.clone()
    baseline.eval()(f + 100, None)
    assert baseline.average == before


# Values, optimum, parameters ------------------------------------------------------------------


AT_ITS_SAMPLES = (*SCORES, "pathwise", "gumbel_softmax", "st_gumbel")


@pytest.mark.parametrize(
    "name, family, key", [c for c in CASES if c[0] in AT_ITS_SAMPLES and c[2][-1] == "3"]
)
def test_attaching_a_gradient_leaves_the_value_alone(name, family, key):
    assert_value_unchanged(build(name), PROBLEMS[family], OBJECTIVES[key])


@pytest.mark.parametrize("family", PROBLEMS)
def test_leave_one_out_is_exactly_zero_at_the_posterior(family):
    assert_zero_at_optimum(build("rloo"), PROBLEMS[family], ELBO(3), atol=1e-12)


@pytest.mark.parametrize(
    "name, family, key", [c for c in CASES if c[0] in AT_ITS_SAMPLES and c[2][-1] == "3"]
)
def test_parameters_of_the_integrand_get_plain_monte_carlo_gradients(name, family, key):
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    problem, objective = PROBLEMS[family], OBJECTIVES[key]
    q = problem.make_q(*(p.expand(5, *p.shape) for p in problem.parameters))
    seen = []

    def f(z, q):
        seen.append(z)
        return theta * problem.f(z, q)

    bound = build(name)(q, f, objective, torch.ones(5, 1).double()).bound
    plain = objective.reduce(theta * problem.f(seen[0], q))
    got, want = (torch.autograd.grad(b.sum(), theta)[0] for b in (bound, plain))
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)


def test_a_learned_baseline_trains_itself_and_nothing_else():
    problem, objective = PROBLEMS["bernoulli"], ELBO(2)
    estimator = build("nvil").train()
    logits = problem.parameters[0].expand(4, -1).clone().requires_grad_()
    theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)

    def f(z, q):
        return theta * problem.f(z, q)

    context = torch.randn(4, 6, dtype=torch.float64)
    estimate = estimator(problem.make_q(logits), f, objective, context)
    own = list(estimator.parameters())
    leaves = [logits, theta, *own]
    grads = torch.autograd.grad(estimate.auxiliary, leaves, retain_graph=True, allow_unused=True)
    assert grads[0] is None and grads[1] is None
    assert all(g is not None and g.abs().sum() > 0 for g in grads[2:])
    assert all(
        g is None for g in torch.autograd.grad(estimate.bound.sum(), own, allow_unused=True)
    )


def test_a_learned_baseline_learns_the_mean_of_f():
    torch.manual_seed(0)
    problem, estimator = PROBLEMS["bernoulli"], ESTIMATORS["nvil"](hidden=16).double()
    q = problem.make_q(problem.parameters[0].expand(4096, -1))
    context = torch.ones(4096, 1).double()
    estimator(q, problem.f, ELBO(1), context)  # gives the lazy layer its shape
    optimizer = torch.optim.Adam(estimator.parameters(), lr=0.01)
    for _ in range(400):
        optimizer.zero_grad()
        estimator(q, problem.f, ELBO(1), context).auxiliary.backward()
        optimizer.step()
    mean = Enumerate()(q, problem.f, ELBO(1)).bound[0]
    learned, _ = estimator.baseline(torch.zeros(1, 4096).double(), context)
    assert abs(learned[0, 0] - mean) < 0.1  # standard deviation of f: 1.1; untrained error: 2.7


# Closed forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pathwise", "reinforce", "rloo"])
def test_gaussian_with_a_quadratic_integrand(name):
    # E[-(z - c)^2] = -(m - c)^2 - s^2: gradients -2(m - c) and, in log s, -2 s^2
    torch.manual_seed(0)
    n, m, log_s, c = 200_000, 0.4, -0.2, 1.5
    loc = torch.full((n, 1), m, dtype=torch.float64, requires_grad=True)
    log_scale = torch.full((n, 1), log_s, dtype=torch.float64, requires_grad=True)
    q = Independent(Normal(loc, log_scale.exp()), 1)
    bound = build(name)(q, lambda z, q: -(z[..., 0] - c).square(), ELBO(2)).bound
    grads = torch.autograd.grad(bound.sum(), [loc, log_scale])
    for g, exact in zip(grads, (-2 * (m - c), -2 * math.exp(2 * log_s)), strict=True):
        assert abs(g.mean() - exact) < 5 * g.std() / math.sqrt(n)  # 6e-7


def test_enumeration_is_the_sum_over_states_by_hand():
    logits = torch.tensor([[0.3, -1.0]], dtype=torch.float64, requires_grad=True)
    q = Independent(Bernoulli(logits=logits), 1)

    def f(z, q):
        return 3 * z[..., 0] - z[..., 1] + 5 * z[..., 0] * z[..., 1]

    p = logits.sigmoid()[0]
    by_hand = 3 * p[0] - p[1] + 5 * p[0] * p[1]
    torch.testing.assert_close(Enumerate()(q, f, ELBO(4)).bound[0], by_hand)


@pytest.mark.parametrize("objective", [ELBO(2), IWAE(2)])
def test_gradcheck_of_the_enumeration(objective):
    problem = bernoulli_problem(2)

    def bound(logits):
        return Enumerate()(problem.make_q(logits), problem.f, objective).bound

    logits = problem.parameters[0].expand(2, -1).clone().requires_grad_()
    assert torch.autograd.gradcheck(bound, [logits])


# Pairs that are not defined, and bad arguments -------------------------------------------------


@pytest.mark.parametrize("name, objective", [("rloo", ELBO(1)), ("vimco", IWAE(1))])
def test_leave_one_out_needs_two_samples(name, objective):
    with pytest.raises(ValueError, match="num_samples >= 2"):
        gradients(build(name), PROBLEMS["bernoulli"], objective, 2)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("name", ["gumbel_softmax", "st_gumbel"])
def test_a_temperature_is_positive(name, temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        ESTIMATORS[name](temperature=temperature)


def test_enumeration_refuses_what_it_cannot_list():
    q = Independent(Bernoulli(logits=torch.zeros(1, 30)), 1)
    with pytest.raises(ValueError, match="2\\^30 configurations"):
        Enumerate()(q, lambda z, q: z.sum(-1), ELBO(1))


def test_noise_is_not_shared_between_samples_or_images():
    problem = PROBLEMS["gaussian"]
    seen = []

    def f(z, q):
        seen.append(z)
        return problem.f(z, q)

    gradients(build("pathwise"), problem._replace(f=f), ELBO(4), 3)
    assert len(seen[0].unique()) == seen[0].numel()


def test_estimators_are_modules_whose_state_is_saved():
    keys = set(build("reinforce_moving_average").state_dict())
    assert keys == {"baseline.average", "baseline.weight"}
    assert set(build("gumbel_softmax").state_dict()) == {"sampler.temperature"}
    assert isinstance(build("nvil").baseline, nn.Module)


def test_rloo_with_a_monte_carlo_kl_is_vargrad():
    """The gradient of half the samples' variance of log q - log p (Richter et al., 2020)."""
    loc = torch.tensor([0.3, -1.0]).double().requires_grad_()
    x, K = torch.tensor([[0.7, 0.1]]).double(), 5

    def make_q():
        return Independent(Normal(loc.expand(1, 2), torch.full((1, 2), 0.8).double()), 1)

    def log_p(z):
        return -(z - x).square().sum(-1) - z.tanh().prod(-1)

    torch.manual_seed(0)
    q = make_q()
    estimate = named("rloo")(q, lambda z, q: log_p(z) - q.log_prob(z), ELBO(K))
    (found,) = torch.autograd.grad(estimate.bound.sum(), loc)
    torch.manual_seed(0)
    q = make_q()
    z = q.sample(torch.Size([K]))
    (expected,) = torch.autograd.grad((q.log_prob(z) - log_p(z)).var(0).sum() / 2, loc)
    torch.testing.assert_close(found, -expected)
