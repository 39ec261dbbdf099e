"""Path derivatives: exactly zero at the posterior, and the same for a prior with parameters.

Statistical tests are seeded and two-sided at a family-wise false-alarm rate of 1e-6 each.
"""

import pytest
import torch
from torch.distributions import Gamma, Independent, Laplace, MultivariateNormal, Normal
from torch.testing import assert_close

from vae.certify import gaussian_chain
from vae.certify.assertions import (
    assert_unbiased,
    assert_value_unchanged,
    assert_zero_at_optimum,
    bias_z_scores,
)
from vae.certify.exact import gradients
from vae.certify.problems import Problem, gaussian_problem
from vae.distributions.operations import detach
from vae.estimators import Pathwise
from vae.estimators import doubly_reparameterized as module
from vae.estimators.doubly_reparameterized import (
    DoublyReparameterized,
    GeneralizedDReG,
    StickingTheLanding,
    reparameterize,
)
from vae.objectives import ELBO, IWAE, Objective

N = 20_000
LINE = gaussian_problem(1)


class WithPrior:
    """A one-dimensional problem in four parameters: location and log-scale of q and of the prior.
    The prior is learned, p(x|z) is not Gaussian."""

    def __init__(self):
        self.prior = None
        start = [[0.4], [-0.3], [-0.2], [0.2]]
        parameters = [torch.tensor(value, dtype=torch.float64) for value in start]
        self.problem = Problem(self.make_q, parameters, self.f, self.log_target)

    def make_q(self, loc, log_scale, prior_loc, prior_log_scale):
        prior = Normal(prior_loc, prior_log_scale.exp(), validate_args=False)
        self.prior = Independent(prior, 1, validate_args=False)
        q = Normal(loc, log_scale.exp(), validate_args=False)
        return Independent(q, 1, validate_args=False)

    def log_likelihood(self, z):
        return 2 * torch.tanh(1.5 * z[..., 0] - 0.5) - 0.3 * z[..., 0] ** 2

    def log_target(self, z):
        return self.log_likelihood(z) + self.prior.log_prob(z)

    def f(self, z, q):
        return self.log_target(z) - q.log_prob(z)

    def build(self):
        return GeneralizedDReG(lambda: self.prior)


class WithLayers(WithPrior):
    """A prior of two layers: a network of the upper one is the law of the lower one."""

    def __init__(self):
        self.ours, self.theirs = gaussian_chain(), gaussian_chain(reverse=True)
        generative = [0.7 * p.flip(-1) - 0.1 for p in self.theirs.parameters]
        parameters = [*self.ours.parameters, *generative]
        self.problem = Problem(self.make_q, parameters, self.f, self.log_target)

    def make_q(self, raw, weight, bias, *generative):
        self.prior = self.theirs.make_q(*generative)
        return self.ours.make_q(raw, weight, bias)


def certify(case):
    """Estimator, problem and objectives of one of the three, by name."""
    model, layers = WithPrior(), WithLayers()
    return {
        "stl": (StickingTheLanding(), LINE, [ELBO(1), ELBO(3)]),
        "stl in the plane": (StickingTheLanding(), gaussian_problem(), [ELBO(1), ELBO(3)]),
        "dreg": (DoublyReparameterized(), LINE, [IWAE(1), IWAE(2), IWAE(3)]),
        "generalized": (model.build(), model.problem, [IWAE(1), IWAE(2), IWAE(3)]),
        "generalized, two layers": (layers.build(), layers.problem, [IWAE(1), IWAE(2)]),
    }[case]


@pytest.mark.parametrize(
    "case", ["stl", "stl in the plane", "dreg", "generalized", "generalized, two layers"]
)
def test_unbiased(case):
    estimator, problem, objectives = certify(case)
    for objective in objectives:
        assert_unbiased(estimator, problem, objective, N)
        assert_value_unchanged(estimator, problem, objective)


@pytest.mark.parametrize("case", ["stl", "stl in the plane", "dreg"])
def test_exactly_zero_at_the_posterior(case):
    estimator, problem, objectives = certify(case)
    for objective in objectives:
        assert_zero_at_optimum(estimator, problem, objective)


def test_the_generalized_estimator_is_zero_at_the_posterior_too():
    prior = Independent(Normal(torch.zeros(2).double(), torch.ones(2).double()), 1)
    assert_zero_at_optimum(GeneralizedDReG(lambda: prior), gaussian_problem(), IWAE(5))


def test_pathwise_is_not_zero_there():
    with pytest.raises(AssertionError, match="not 0"):
        assert_zero_at_optimum(Pathwise(), LINE, ELBO(3))
    with pytest.raises(AssertionError, match="not 0"):
        assert_zero_at_optimum(Pathwise(), LINE, IWAE(3))


# Power: mutants in the prior; those in q are in mutant_estimators.py ---------------------------


class PlainPrior(GeneralizedDReG):
    """The new path of the prior, with the score that it replaces left in."""

    def estimate(self, q, f, objective, context):
        scored = self.prior().log_prob

        def twice(z, q):
            return f(z, q) + scored(z.detach()) - scored(z.detach()).detach()

        return super().estimate(q, twice, objective, context)


def test_a_prior_counted_twice_is_caught():
    model = WithPrior()
    z = bias_z_scores(PlainPrior(lambda: model.prior), model.problem, IWAE(3), N)
    assert z[:2].abs().max() < 5.2 and z[2:4].abs().min() > 10


WRONG = {"the whole slope": torch.ones_like, "the encoder's": lambda ratio: 1 - ratio}


@pytest.mark.parametrize("name", WRONG)
def test_a_prior_path_of_the_wrong_weight_is_caught(monkeypatch, name):
    model, right, calls = WithPrior(), module._scale_gradient, []

    def wrong(z, ratio):  # called for the encoder's path, then for the prior's
        calls.append(z)
        right(z, WRONG[name](ratio) if len(calls) % 2 == 0 else ratio)

    monkeypatch.setattr(module, "_scale_gradient", wrong)
    with pytest.raises(AssertionError, match="is biased"):
        assert_unbiased(model.build(), model.problem, IWAE(3), N)


# What the parameters get -----------------------------------------------------------------------


def draws(estimator, problem, objective, n=1000):
    torch.manual_seed(0)
    return gradients(estimator, problem, objective, n)


@pytest.mark.parametrize("objective", [IWAE(1), IWAE(4)])
def test_the_encoder_gradient_of_the_generalized_estimator_is_that_of_dreg(objective):
    model = WithPrior()
    general, general_bound = draws(model.build(), model.problem, objective)
    plain, plain_bound = draws(DoublyReparameterized(), model.problem, objective)
    assert_close(general_bound, plain_bound, rtol=0, atol=0)
    assert_close(general[:, :2], plain[:, :2], rtol=1e-10, atol=1e-12)
    assert (general[:, 2:] - plain[:, 2:]).abs().max() > 0.1  # and the prior's is another


def test_with_one_sample_dreg_is_sticking_the_landing():
    one, _ = draws(DoublyReparameterized(), LINE, IWAE(1))
    other, _ = draws(StickingTheLanding(), LINE, ELBO(1))
    assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_dreg_is_the_squared_weight_by_hand():
    problem, objective = LINE, IWAE(3)
    leaves = [p[None].clone().requires_grad_() for p in problem.parameters]
    q = problem.make_q(*leaves)
    torch.manual_seed(0)
    bound = DoublyReparameterized()(q, problem.f, objective).bound
    got = torch.autograd.grad(bound.sum(), leaves)

    torch.manual_seed(0)
    q = problem.make_q(*leaves)
    z = q.rsample(torch.Size([3]))
    free = z.detach().requires_grad_()
    f = problem.f(free, detach(q))
    (slope,) = torch.autograd.grad(f.sum(), free)
    weight = f.detach().softmax(0).square()[..., None]
    by_hand = torch.autograd.grad((weight * slope * z).sum(), leaves)
    assert_close(got, by_hand, rtol=1e-12, atol=0)


@pytest.mark.parametrize("case", ["stl", "dreg", "generalized"])
def test_parameters_of_the_integrand_get_plain_monte_carlo_gradients(case):
    estimator, problem, objectives = certify(case)
    objective = objectives[-1]
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    q = problem.make_q(
        *(p.expand(5, *p.shape).clone().requires_grad_() for p in problem.parameters)
    )
    seen = []

    def f(z, q):
        seen.append(z.detach())
        return problem.f(z, q) + torch.sin(theta * z[..., 0])

    bound = estimator(q, f, objective).bound
    plain = objective.reduce(f(seen[0], q))
    got, want = (torch.autograd.grad(b.sum(), theta)[0] for b in (bound, plain))
    assert_close(got, want, rtol=1e-12, atol=0)


@pytest.mark.parametrize("case", ["stl", "dreg", "generalized"])
def test_the_integrand_is_evaluated_once_and_works_without_gradients(case):
    estimator, problem, objectives = certify(case)
    objective, rows = objectives[-1], []

    def f(z, q):
        rows.append(len(z))
        return problem.f(z, q)

    q = problem.make_q(*(p.expand(5, *p.shape) for p in problem.parameters))
    assert not estimator(q, f, objective).bound.requires_grad
    assert rows == [objective.num_samples]


def test_a_weight_that_underflows_is_harmless():
    loc = torch.zeros(1, 1, requires_grad=True)
    q = Independent(Normal(loc, torch.ones(1, 1)), 1)
    f = lambda z, q: 1e4 * z[..., 0] - q.log_prob(z)
    DoublyReparameterized()(q, f, IWAE(8)).bound.sum().backward()
    assert loc.grad.isfinite().all()


@pytest.mark.parametrize("estimator", [StickingTheLanding(), DoublyReparameterized()])
def test_implicit_reparameterization_has_paths_too(estimator):
    # Gamma: q = posterior again, so that every estimate is zero
    rate = torch.full((100, 2), 1.5, dtype=torch.float64, requires_grad=True)
    q = Independent(Gamma(2 * torch.ones_like(rate), rate), 1)
    posterior = detach(q)
    objective = ELBO(3) if issubclass(ELBO, estimator.objectives) else IWAE(3)
    bound = estimator(q, lambda z, q: posterior.log_prob(z) - q.log_prob(z), objective).bound
    (grad,) = torch.autograd.grad(bound.sum(), rate)
    assert grad.abs().max() < 1e-12


# The prior's own parametrization ---------------------------------------------------------------


def gaussians():
    loc = torch.tensor([0.3, -1.0], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    factor = torch.tensor([[0.5, 0.0], [0.7, 2.0]], dtype=torch.float64, requires_grad=True)
    return {
        "diagonal": (Independent(Normal(loc, scale), 1), (loc, scale)),
        "full": (MultivariateNormal(loc, scale_tril=factor), (loc, factor)),
    }


@pytest.mark.parametrize("name", gaussians())
def test_a_sample_is_reparameterized_as_it_was_drawn(name):
    prior, leaves = gaussians()[name]
    z = prior.rsample(torch.Size([3, 4]))  # (K, B, D)
    again = reparameterize(prior, z.detach())
    assert_close(again, z)
    weights = torch.randn_like(z)
    drawn = torch.autograd.grad((weights * z).sum(), leaves, retain_graph=True)
    assert_close(torch.autograd.grad((weights * again).sum(), leaves), drawn)


def test_other_priors_are_refused_by_name():
    prior = Independent(Laplace(torch.zeros(1), torch.ones(1)), 1)
    with pytest.raises(NotImplementedError, match="Laplace.*takes a Gaussian prior"):
        gradients(GeneralizedDReG(lambda: prior), LINE, IWAE(2), 2)


# The objective's part --------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [ELBO(4), IWAE(4), IWAE(1)])
def test_closed_form_path_weights_are_the_derivatives(objective):
    f = torch.randn(objective.num_samples, 5, dtype=torch.float64)
    assert_close(objective.path_weights(f), Objective.path_weights(objective, f))


@pytest.mark.parametrize(
    "estimator, objective",
    [(StickingTheLanding(), IWAE(3)), (DoublyReparameterized(), ELBO(3))],
)
def test_the_names_do_not_mislabel(estimator, objective):
    with pytest.raises(NotImplementedError, match=type(objective).__name__):
        gradients(estimator, LINE, objective, 2)
