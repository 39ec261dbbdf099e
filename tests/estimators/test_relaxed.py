"""Relaxations: the classes for which straight-through samplers are exact, what Gumbel-Rao may
claim, and the control variates of REBAR and RELAX.

Statistical tests are seeded and two-sided at a family-wise false-alarm rate of 1e-6 each.
"""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent
from torch.testing import assert_close

from vae.certify.assertions import assert_unbiased, bias_z_scores
from vae.certify.exact import gradients
from vae.certify.problems import bernoulli_problem, gaussian_problem, one_hot_problem
from vae.distributions.couplings import perturb_given, soften
from vae.distributions.one_hot import OneHotCategorical
from vae.estimators import Pathwise
from vae.estimators.relaxed import REBAR, RELAX
from vae.estimators.straight_through import (
    GappedStraightThrough,
    GumbelRao,
    ReinMax,
    StraightThrough,
    StraightThroughGumbel,
)
from vae.objectives import ELBO, IWAE

PROBLEMS = {"bernoulli": bernoulli_problem(), "one_hot": one_hot_problem()}
N = 50_000
TEMPERED = (StraightThroughGumbel, GumbelRao, GappedStraightThrough, ReinMax)
STRAIGHT = (StraightThrough, *TEMPERED)


class CriticAlone(RELAX):
    """RELAX for a black box."""

    def __init__(self, **options):
        super().__init__(relax_f=False, **options)


RELAXED = (REBAR, RELAX, CriticAlone)


@pytest.fixture(params=PROBLEMS)
def problem(request):
    return PROBLEMS[request.param]


def weights(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def linear(z, q):
    """Linear in each variable, with a product of two, and with -log q."""
    parts = z if z.dim() == 4 else z[..., None]  # (K, B, D, C), a binary variable as one category
    terms = (parts * weights(*parts.shape[2:], seed=5)).sum(-1)  # (K, B, D)
    return terms.sum(-1) + 2 * terms[..., 0] * terms[..., 1] - q.log_prob(z)


def quadratic(z, q):
    flat = z.flatten(2)
    w = weights(flat.shape[-1], flat.shape[-1], seed=6)
    return linear(z, q) + ((flat @ w) * flat).sum(-1)


def cubic(z, q):
    flat = z.flatten(2)
    return (flat @ weights(flat.shape[-1], seed=7)) ** 3


# Exactness classes -----------------------------------------------------------------------------

EXACT = [(StraightThrough, linear), (ReinMax, linear), (ReinMax, quadratic)]
BEYOND = [(StraightThrough, quadratic), (ReinMax, cubic)]


@pytest.mark.parametrize("objective", [ELBO(1), ELBO(3)])
@pytest.mark.parametrize("sampler, f", EXACT)
def test_exact_on_the_claimed_class(sampler, f, problem, objective):
    assert_unbiased(Pathwise(sampler()), problem._replace(f=f), objective, N)


@pytest.mark.parametrize("sampler, f", BEYOND)
def test_biased_beyond_it(sampler, f, problem):
    z = bias_z_scores(Pathwise(sampler()), problem._replace(f=f), ELBO(1), N)
    assert z[:-1].abs().max() > 20


@pytest.mark.parametrize("sampler", [StraightThroughGumbel, GumbelRao, GappedStraightThrough])
def test_the_others_are_not_exact_for_linear_f(sampler, problem):
    z = bias_z_scores(Pathwise(sampler()), problem._replace(f=linear), ELBO(1), N)
    assert z[:-1].abs().max() > 6  # the gapped one is nearly so for these binary logits


def test_reinmax_is_exact_at_temperature_one_only(problem):
    estimator = Pathwise(ReinMax(1.5))
    assert Pathwise(ReinMax()).exact_for == "quadratic" and estimator.exact_for is None
    z = bias_z_scores(estimator, problem._replace(f=quadratic), ELBO(1), N)
    assert z[:-1].abs().max() > 10


# What a sampler draws ---------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", STRAIGHT)
def test_forward_is_a_vertex_and_the_gradient_finite_at_extreme_logits(sampler):
    for dtype in (torch.float32, torch.float64):
        logits = torch.tensor([[[-300.0, 0.0, 300.0], [1e4, 1e4, -1e4]]], dtype=dtype)
        for family in (OneHotCategorical, Bernoulli):
            leaf = logits.clone().requires_grad_()
            q = Independent(family(logits=leaf), 1)
            z = sampler()(q, torch.Size([50]))
            assert z.dtype == dtype and ((z == 0) | (z == 1)).all()
            (grad,) = torch.autograd.grad((z * torch.randn_like(z)).sum(), leaf)
            assert grad.isfinite().all()


@pytest.mark.parametrize("sampler", STRAIGHT)
def test_an_impossible_category_does_no_harm(sampler):
    logits = torch.tensor([[[0.0, 1.0, -math.inf]]], dtype=torch.float64, requires_grad=True)
    q = Independent(OneHotCategorical(logits=logits, validate_args=False), 1, validate_args=False)
    z = sampler()(q, torch.Size([50]))
    assert not z[..., 2].any() and z.isfinite().all()
    (grad,) = torch.autograd.grad((z * torch.randn_like(z)).sum(), logits)
    assert grad.isfinite().all()


@pytest.mark.parametrize("sampler", [StraightThrough, GappedStraightThrough, ReinMax])
def test_a_bernoulli_variable_is_two_categories(sampler):
    # given the vertex these have no noise: compare the derivative at each vertex
    logits = torch.tensor([-3.0, -0.4, 0.0, 0.7, 2.0], dtype=torch.float64)
    derivatives = []
    for two in (False, True):
        leaf = logits.expand(400, -1).clone().requires_grad_()
        pair = torch.stack([torch.zeros_like(leaf), leaf], -1)
        q = OneHotCategorical(logits=pair) if two else Bernoulli(logits=leaf)
        z = sampler()(q, torch.Size([]))
        z = z[..., 1] if two else z
        (grad,) = torch.autograd.grad(z.sum(), leaf)
        for vertex in (0, 1):
            hit = (z == vertex).double()
            assert hit.any(0).all()
            derivative = (grad * hit).sum(0) / hit.sum(0)
            assert_close(grad * hit, derivative * hit)  # one value
            derivatives.append(derivative)
    assert_close(derivatives[:2], derivatives[2:])


def test_reinmax_is_the_second_order_rule_by_hand():
    # one Bernoulli variable, f(z) = z^3: f'(0) = 0, f'(1) = 3
    logit = torch.zeros(1000, 1, dtype=torch.float64, requires_grad=True)
    z = ReinMax()(Independent(Bernoulli(logits=logit), 1), torch.Size([1]))
    (grad,) = torch.autograd.grad(z.pow(3).sum(), logit)
    # at z = 1 the middle is 3/4: 3 (2 * 3/16 - 1/8) = 3/4
    assert_close(grad, 0.75 * z[0].detach())


# Gumbel-Rao ------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_gumbel_rao_keeps_the_mean_and_lowers_the_variance(problem, temperature):
    draw = lambda sampler: gradients(Pathwise(sampler), problem, ELBO(1), N)[0]
    plain, rao = draw(StraightThroughGumbel(temperature)), draw(GumbelRao(temperature, 20))
    error = (plain.var(0) + rao.var(0)).div(N).sqrt()
    z = (plain.mean(0) - rao.mean(0)) / error
    assert z.abs().max() < 5.2, z
    assert (rao.var(0) < plain.var(0)).all()
    one = draw(GumbelRao(temperature, 1))  # the law of the straight-through Gumbel-softmax
    z = (plain.mean(0) - one.mean(0)) / (plain.var(0) + one.var(0)).div(N).sqrt()
    assert z.abs().max() < 5.2, z
    spread = (plain - plain.mean(0)).square(), (one - one.mean(0)).square()
    z = (spread[0].mean(0) - spread[1].mean(0)) / sum(s.var(0) for s in spread).div(N).sqrt()
    assert z.abs().max() < 5.2, z


class ThroughTheNoise(GumbelRao):
    """The reading of the paper that differentiates the conditional noise as well."""

    def forward(self, q, sample_shape):
        z = q.sample(sample_shape)
        soft = soften(q, perturb_given(q, z, torch.Size([self.num_inner])), self.temperature)
        return z + (soft - soft.detach()).mean(0)


def test_gumbel_rao_through_the_conditional_noise_has_another_mean(problem):
    right, wrong = (
        gradients(Pathwise(kind(0.5, 4)), problem, ELBO(1), N)[0]
        for kind in (GumbelRao, ThroughTheNoise)
    )
    z = (right.mean(0) - wrong.mean(0)) / (right.var(0) + wrong.var(0)).div(N).sqrt()
    assert z.abs().max() > 10


# REBAR and RELAX: bias -------------------------------------------------------------------------


def build(kind, problem=None, **options):
    """In a state it has in mid-training: eta is not 1."""
    torch.manual_seed(0)
    estimator = kind(eta=0.7, **options).double()
    if kind is not REBAR:
        gradients(estimator, problem, ELBO(1), 2)  # takes its width
        with torch.no_grad():  # a critic that has learned something
            for parameter in estimator.critic.parameters():
                parameter.mul_(3)
    return estimator.eval()


@pytest.mark.parametrize("objective", [ELBO(1), ELBO(2), IWAE(2), IWAE(3)])
@pytest.mark.parametrize("kind", RELAXED)
def test_unbiased(kind, problem, objective):
    assert_unbiased(build(kind, problem), problem, objective, 20_000)


def test_without_its_scale_it_is_the_score_function():
    problem = PROBLEMS["bernoulli"]
    assert_unbiased(REBAR(eta=0.0).double(), problem, IWAE(3), 20_000)


# REBAR and RELAX: own parameters ---------------------------------------------------------------


def one_estimate(estimator, problem, objective, n=64, theta=1.0):
    torch.manual_seed(1)
    logits = problem.parameters[0].expand(n, *problem.parameters[0].shape)
    logits = logits.clone().requires_grad_()
    f = lambda z, q: theta * problem.f(z, q)
    context = torch.ones(n, 1, dtype=logits.dtype)
    return estimator(problem.make_q(logits), f, objective, context), logits


def mean_square(estimator, problem, objective):
    """Of the gradient that the bound has, all of it."""
    estimate, logits = one_estimate(estimator, problem, objective)
    (g,) = torch.autograd.grad(estimate.bound.sum(), logits)
    return estimate.auxiliary, g.square().sum() / len(g)


@pytest.mark.parametrize("objective", [ELBO(2), IWAE(3)])
@pytest.mark.parametrize("kind", RELAXED)
def test_auxiliary_trains_the_mean_square_of_the_whole_gradient(kind, problem, objective):
    # under importance weights with the direct gradient of -log q inside f; by a difference of what
    # autograd finds, at common random numbers
    estimator = build(kind, problem, temperature=0.8)
    auxiliary, square = mean_square(estimator, problem, objective)
    assert_close(auxiliary.detach(), square)
    own = list(estimator.parameters())
    for parameter, slope in zip(own, torch.autograd.grad(auxiliary, own), strict=True):
        h, flat, squares = 1e-5, parameter.data.view(-1), []
        for step in (h, -h):
            flat[0] += step
            squares.append(mean_square(estimator, problem, objective)[1])
            flat[0] -= step
        difference = (squares[0] - squares[1]) / (2 * h)
        assert_close(slope.view(-1)[0], difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("family", PROBLEMS)
def test_a_black_box_is_never_seen_off_the_vertices(family):
    problem, seen = PROBLEMS[family], []

    def f(z, q):
        seen.append(z)
        return problem.f(z, q)

    for kind in (CriticAlone, RELAX):
        seen.clear()
        gradients(build(kind, problem), problem._replace(f=f), IWAE(3), 5)
        vertices = [((z == 0) | (z == 1)).all() for z in seen]
        assert vertices == [True] if kind is CriticAlone else vertices == [True, False]
        assert len(seen) * 3 == kind().cost(3, 3, 2)


@pytest.mark.parametrize("objective", [ELBO(2), IWAE(2)])
@pytest.mark.parametrize("kind", RELAXED)
def test_own_parameters_train_apart(kind, problem, objective):
    estimator = build(kind, problem)
    theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    estimate, logits = one_estimate(estimator, problem, objective, theta=theta)
    own = list(estimator.parameters())
    grads = torch.autograd.grad(
        estimate.auxiliary, [logits, theta, *own], allow_unused=True, retain_graph=True
    )
    assert grads[0] is None and grads[1] is None
    assert all(g is not None and g.abs().sum() > 0 for g in grads[2:5])
    assert all(
        g is None
        for g in torch.autograd.grad(
            estimate.bound.sum(), own, allow_unused=True, retain_graph=True
        )
    )


@pytest.mark.parametrize("kind", RELAXED)
def test_parameters_of_the_integrand_get_plain_monte_carlo_gradients(kind, problem):
    estimator, objective, seen = build(kind, problem), IWAE(3), []
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    q = problem.make_q(problem.parameters[0].expand(5, *problem.parameters[0].shape))

    def f(z, q):
        seen.append(z)
        return theta * problem.f(z, q)

    bound = estimator(q, f, objective, torch.ones(5, 1).double()).bound
    plain = objective.reduce(theta * problem.f(seen[0], q))
    got, want = (torch.autograd.grad(b.sum(), theta)[0] for b in (bound, plain))
    assert_close(got, want, rtol=1e-12, atol=0)
    assert_close(bound, plain, rtol=1e-14, atol=0)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", RELAXED)
def test_training_lowers_the_variance(kind):
    problem = PROBLEMS["bernoulli"]
    estimator = build(kind, problem, temperature=3.0)
    with torch.no_grad():
        estimator.eta.fill_(0.2)
    start = gradients(estimator, problem, ELBO(1), N)[0].var(0).sum()
    optimizer = torch.optim.Adam(estimator.parameters(), lr=0.02)
    q = problem.make_q(problem.parameters[0].expand(256, -1))
    context = torch.ones(256, 1).double()
    for _ in range(200):
        optimizer.zero_grad()
        estimator(q, problem.f, ELBO(1), context).auxiliary.backward()
        optimizer.step()
    trained = gradients(estimator, problem, ELBO(1), N)[0].var(0).sum()
    assert trained < 0.5 * start
    assert_unbiased(estimator, problem, ELBO(1), N)  # whatever the training did


def test_relax_without_images_looks_at_the_sample_alone():
    problem = PROBLEMS["one_hot"]
    q = problem.make_q(problem.parameters[0].expand(4, -1, -1))
    estimator = RELAX(hidden=8).double()
    estimator(q, problem.f, ELBO(2))
    assert estimator.critic[0].in_features == 6


# Precision, arguments --------------------------------------------------------------------------


@pytest.mark.parametrize("family", [OneHotCategorical, Bernoulli])
@pytest.mark.parametrize("kind", RELAXED)
def test_finite_in_single_precision_at_extreme_logits(kind, family):
    logits = torch.tensor([[[-300.0, 0.0, 300.0], [1e3, 1e3, -1e3]]]).expand(50, -1, -1)
    logits = logits.clone().requires_grad_()
    q = Independent(family(logits=logits), 1 + (family is Bernoulli))
    estimator = kind(temperature=0.1)
    estimate = estimator(q, lambda z, q: z.sum((-1, -2)) - q.log_prob(z), IWAE(3))
    (grad,) = torch.autograd.grad(estimate.bound.sum(), logits)
    own = torch.autograd.grad(estimate.auxiliary, list(estimator.parameters()))
    assert all(g.isfinite().all() for g in (grad, *own))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("make", [*TEMPERED, *RELAXED])
def test_a_temperature_is_positive(make, temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        make(temperature=temperature)


def test_bad_arguments():
    with pytest.raises(ValueError, match="num_inner must be at least 1"):
        GumbelRao(num_inner=0)
    with pytest.raises(ValueError, match="gap must not be negative"):
        GappedStraightThrough(gap=-1.0)


@pytest.mark.parametrize(
    "estimator", [*(kind() for kind in RELAXED), *(Pathwise(s()) for s in STRAIGHT)]
)
def test_gaussians_are_refused_by_name(estimator):
    with pytest.raises(NotImplementedError, match="Normal"):
        gradients(estimator, gaussian_problem(), ELBO(1), 2)


def test_a_schedule_finds_the_temperature():
    for sampler in TEMPERED:
        assert set(Pathwise(sampler()).state_dict()) == {"sampler.temperature"}
    assert set(REBAR().state_dict()) == {"eta", "log_temperature"}
