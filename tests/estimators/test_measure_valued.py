"""Measure-valued derivatives: the laws of their points, exactness, closed forms.

Statistical tests are seeded and two-sided at a family-wise false-alarm rate of 1e-6 each.
"""

import math

import pytest
import torch
from torch.distributions import Distribution, Independent, Normal, Poisson

from vae.certify.assertions import assert_value_unchanged
from vae.certify.exact import gradients
from vae.certify.problems import Problem, bernoulli_problem, gaussian_problem
from vae.estimators import Pathwise
from vae.estimators.local_expectation import LocalExpectation
from vae.estimators.measure_valued import MeasureValued, weak_derivatives
from vae.objectives import ELBO, IWAE, Average

N = 20_000
GAUSSIAN = gaussian_problem()


def poisson_problem(dim: int = 2) -> Problem:
    """Independent Poisson variables, by their log-rates; f is bounded but for -log q."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(4, dim, generator=generator, dtype=torch.float64)
    v = torch.randn(4, generator=generator, dtype=torch.float64)

    def make_q(log_rate):
        return Independent(Poisson(log_rate.exp(), validate_args=False), 1, validate_args=False)

    def log_target(z):
        return torch.tanh(0.5 * (z - 1) @ w.T) @ v + torch.cos(z.sum(-1))

    def f(z, q):
        return log_target(z) - q.log_prob(z)

    return Problem(make_q, [torch.tensor([0.3, -0.6][:dim]).double()], f, log_target)


def poisson_truth(problem, objective, largest=60):
    """The gradient and the value, over all tuples of counts up to ``largest``: at rates of 1.35
    and less, the mass beyond is below 1e-70."""
    leaf = problem.parameters[0][None].clone().requires_grad_()
    q, D = problem.make_q(leaf), problem.parameters[0].numel()
    count = torch.arange(largest + 1, dtype=torch.float64)
    z = torch.cartesian_prod(*[count] * D).view(-1, 1, D)
    fz, log_q = problem.f(z, q)[:, 0], q.log_prob(z)[:, 0]  # (S,)
    K = 1 if isinstance(objective, Average) else objective.num_samples
    tuples = torch.cartesian_prod(*[torch.arange(len(z))] * K).view(-1, K).T
    value = (log_q[tuples].sum(0).exp() * objective.reduce(fz[tuples])).sum()
    (grad,) = torch.autograd.grad(value, leaf)
    return torch.cat([grad[0], value.detach()[None]])


@pytest.mark.parametrize(
    "dim, objective", [(2, ELBO(1)), (2, ELBO(3)), (1, IWAE(1)), (1, IWAE(2))], ids=str
)
def test_poisson_against_a_truncated_sum(dim, objective, assert_mean):
    problem = poisson_problem(dim)
    grads, bound = gradients(MeasureValued(), problem, objective, N)
    assert_mean(torch.cat([grads, bound[:, None]], 1), poisson_truth(problem, objective))


def test_a_linear_integrand_of_poisson_variables_leaves_no_variance():
    # f(z + 1) - f(z) is constant
    problem = poisson_problem()._replace(f=lambda z, q: 3 * z[..., 0] - z[..., 1])
    grads, _ = gradients(MeasureValued(), problem, ELBO(2), 50)
    exact = torch.tensor([3.0, -1.0]).double() * problem.parameters[0].exp()
    torch.testing.assert_close(grads, exact.expand_as(grads))


def test_the_value_is_that_of_the_samples():
    assert_value_unchanged(MeasureValued(), GAUSSIAN, IWAE(3))
    assert_value_unchanged(MeasureValued(), poisson_problem(), ELBO(2))


# The points -------------------------------------------------------------------------------------


def test_the_points_of_a_normal_have_their_moments(assert_mean):
    q = Normal(torch.tensor(0.7).double(), torch.tensor(1.6).double())
    z, (in_loc, in_scale) = weak_derivatives(q, torch.Size([4 * N]))
    powers = torch.arange(1, 7)

    def moments(points):
        return ((points[:, None] - q.loc) / q.scale) ** powers

    assert_mean(moments(z), torch.tensor([0.0, 1, 0, 3, 0, 15]))
    # density w exp(-w^2 / 2): E[W^n] = 2^(n / 2) Gamma(1 + n / 2)
    weibull = 2 ** (powers / 2) * torch.lgamma(1 + powers / 2).exp()
    assert_mean(moments(in_loc.plus), weibull)
    assert_mean(moments(in_loc.minus), weibull * (-1.0) ** powers)
    # density m^2 exp(-m^2 / 2) / sqrt(2 pi): E[M^n] = E[N^(n + 2)]
    assert_mean(moments(in_scale.plus), torch.tensor([0.0, 3, 0, 15, 0, 105]))
    assert in_scale.minus is None


def test_the_pair_of_the_scale_is_coupled(assert_mean):
    q = Normal(torch.tensor(0.0).double(), torch.tensor(1.0).double())
    z, (_, in_scale) = weak_derivatives(q, torch.Size([N]))
    fraction = z / in_scale.plus  # uniform, so that N = U M
    assert (fraction > 0).all() and (fraction < 1).all()
    assert_mean(fraction[:, None] ** torch.arange(1, 4), 1 / torch.arange(2.0, 5.0))


@pytest.mark.parametrize("K", [1, 2])
def test_closed_form_gradients_of_a_quadratic(K, assert_mean):
    # E[-(z - c)^2] = -(m - c)^2 - s^2
    m, s, c = 0.4, 0.8, 1.5
    loc = torch.full((N, 1), m, dtype=torch.float64, requires_grad=True)
    scale = torch.full((N, 1), s, dtype=torch.float64, requires_grad=True)
    q = Independent(Normal(loc, scale), 1)
    bound = MeasureValued()(q, lambda z, q: -(z[..., 0] - c).square(), ELBO(K)).bound
    grads = torch.autograd.grad(bound.sum(), [loc, scale])
    assert_mean(torch.cat(grads, 1), torch.tensor([-2 * (m - c), -2 * s]))


def test_discontinuous_integrands_are_allowed_and_pathwise_fails_them(assert_mean):
    # P(z > 0) = Phi(m / s): the derivatives are the density at 0, and that times -m / s
    m, s = 0.4, 0.8
    loc = torch.full((N, 1), m, dtype=torch.float64, requires_grad=True)
    scale = torch.full((N, 1), s, dtype=torch.float64, requires_grad=True)
    q = Independent(Normal(loc, scale), 1)

    def f(z, q):
        return (z[..., 0] > 0).double() + 0 * z[..., 0]

    density = math.exp(-((m / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi))
    exact = torch.tensor([density, -density * m / s])
    bound = MeasureValued()(q, f, ELBO(1)).bound
    assert_mean(torch.cat(torch.autograd.grad(bound.sum(), [loc, scale]), 1), exact)
    bound = Pathwise()(q, f, ELBO(1)).bound
    assert all((g == 0).all() for g in torch.autograd.grad(bound.sum(), [loc, scale]))


@pytest.mark.parametrize("objective", [ELBO(2), IWAE(2)], ids=str)
def test_for_bernoulli_it_is_the_local_expectation(objective):
    problem, results = bernoulli_problem(), []
    for estimator in (MeasureValued(), LocalExpectation()):
        torch.manual_seed(1)
        results.append(gradients(estimator, problem, objective, 100)[0])
    torch.testing.assert_close(*results)


# What is differentiated, and what is not --------------------------------------------------------


def test_f_is_never_differentiated_in_z_and_the_other_points_build_no_graph():
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    q = GAUSSIAN.make_q(*(p.expand(5, *p.shape) for p in GAUSSIAN.parameters))
    seen = []

    def f(z, q):
        assert not z.requires_grad
        fz = theta * GAUSSIAN.f(z, q)
        seen.append(fz)
        return fz

    bound = MeasureValued()(q, f, IWAE(3)).bound
    samples, others = seen
    assert samples.shape == (3, 5) and others.shape == (18, 5) and not others.requires_grad
    got, want = (
        torch.autograd.grad(b.sum(), theta, retain_graph=True)[0]
        for b in (bound, IWAE(3).reduce(samples))
    )
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "problem, rows", [(GAUSSIAN, 21), (poisson_problem(), 9), (bernoulli_problem(), 12)]
)
def test_evaluations_depend_on_the_family(problem, rows):
    count = []

    def f(z, q):
        count.append(len(z))
        return problem.f(z, q)

    estimator = MeasureValued()
    gradients(estimator, problem._replace(f=f), ELBO(3), 2)
    q = problem.make_q(*(p[None] for p in problem.parameters))
    D = q.event_shape.numel()
    assert sum(count) == estimator.cost(3, D, 2, type(q.base_dist)) == rows


def test_a_family_without_a_weak_derivative_says_so():
    class Odd(Distribution):
        arg_constraints = {}

    with pytest.raises(NotImplementedError, match="Odd has no weak derivative"):
        weak_derivatives(Odd(validate_args=False), torch.Size([1]))
