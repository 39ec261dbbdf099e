"""The continuous families against exact gradients by quadrature, and what integrates them.

Two-sided z-tests of every coordinate at a family-wise false-alarm rate of 1e-6 each.
"""

import pytest
import torch

from vae.certify.assertions import assert_unbiased, assert_zero_at_optimum, bias_z_scores
from vae.certify.claims import assert_claims, assert_cost, assert_derivative
from vae.certify.exact import exact_gradient
from vae.certify.family_problems import FAMILY_PROBLEMS
from vae.certify.named import example
from vae.certify.nodes import nodes_of
from vae.certify.problems import OBJECTIVES, cases, defined, has_truth
from vae.distributions.gaussian_mixture import GaussianMixture, StratifiedGaussianMixture
from vae.estimators import ESTIMATORS
from vae.objectives import ELBO, IWAE

N = 20_000
QUICK = ("pathwise", "stl", "dreg", "reinforce", "rloo", "vimco", "measure_valued")
LINES = [name for name in FAMILY_PROBLEMS if name not in ("full_gaussian", "gaussian_mixture")]


def build(name):
    torch.manual_seed(0)
    return example(name).double().eval()


CASES = [
    (name, family, key)
    for name in QUICK
    for family, key in cases(build(name), FAMILY_PROBLEMS)
    if key == "elbo2" or (key == "iwae2" and (name == "dreg" or family in LINES))
]


@pytest.mark.parametrize("family", FAMILY_PROBLEMS)
def test_densities_integrate_to_one(family):
    problem = FAMILY_PROBLEMS[family]
    q = problem.make_q(*(p[None] for p in problem.parameters))
    nodes = nodes_of(q)
    total = (q.log_prob(nodes.z[:, None])[:, 0] + nodes.log_weights).logsumexp(0)
    assert abs(total.item()) < 1e-9


@pytest.mark.parametrize("name, family, key", CASES)
def test_unbiased(name, family, key):
    assert_unbiased(build(name), FAMILY_PROBLEMS[family], OBJECTIVES[key], N)


@pytest.mark.parametrize("family", FAMILY_PROBLEMS)
def test_path_derivatives_vanish_where_q_is_the_posterior(family):
    problem = FAMILY_PROBLEMS[family]
    # in the tails log q has fewer digits: what is left of its derivative is not 0 but rounding
    assert_zero_at_optimum(build("stl"), problem, ELBO(2, analytic_kl=False), 1e-7)
    if family != "stratified_mixture":
        assert_zero_at_optimum(build("dreg"), problem, IWAE(3), 1e-7)


def test_claims_about_cost_and_derivative_on_a_laplace_variable():
    for key in ("elbo2", "iwae2"):
        assert_cost(build("measure_valued"), FAMILY_PROBLEMS["laplace"], OBJECTIVES[key])
        assert_derivative(build("measure_valued"), FAMILY_PROBLEMS["laplace"], OBJECTIVES[key])


# gdreg is bound to a prior of one Gaussian variable, which is no prior of these
EVERY = [n for n in ESTIMATORS if n != "gdreg" and cases(build(n), FAMILY_PROBLEMS)]


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_estimator_on_every_family(name):
    assert_claims(build(name), 50_000, problems=FAMILY_PROBLEMS)


# Mutants: each must fail ------------------------------------------------------------------------


class NoWeights(GaussianMixture):
    """Differentiates the component that was drawn, as if the weights had no part in it."""

    def rsample(self, sample_shape=torch.Size()):
        shape = self._extended_shape(sample_shape)
        chosen = torch.distributions.Categorical(logits=self.logits).sample(sample_shape)
        return self._draw(chosen, shape)


class MarginalOnly(GaussianMixture):
    """Takes each coordinate's own distribution function, not that given those before it."""

    def rsample(self, sample_shape=torch.Size()):
        z = self.sample(sample_shape)
        x = (z.unsqueeze(-2) - self.loc) / self.scale
        weights = self.log_weights.exp().unsqueeze(-1)
        distribution = (weights * torch.special.ndtr(x)).sum(-2)
        density = (weights * self._log_densities(z).exp()).sum(-2).detach()
        return z - (distribution - distribution.detach()) / density


class OwnComponentOnly(StratifiedGaussianMixture):
    """The density of a subset of components, a looser bound."""

    def log_prob(self, value):
        return (self._log_densities(value).sum(-1)[..., :1]).logsumexp(-1)


def mutated(family, mutant):
    problem = FAMILY_PROBLEMS[family]

    def make_q(loc, log_scale, *logits):
        return mutant(*logits, loc, log_scale.exp(), validate_args=False)

    exact = exact_gradient(problem, ELBO(1))[0]
    return problem._replace(make_q=make_q), exact


@pytest.mark.parametrize(
    "family, mutant",
    [
        ("gaussian_mixture_1d", NoWeights),
        ("gaussian_mixture", NoWeights),
        ("gaussian_mixture", MarginalOnly),
    ],
)
def test_wrong_derivatives_of_a_mixture_are_rejected(family, mutant):
    problem, _ = mutated(family, mutant)
    assert bias_z_scores(build("pathwise"), problem, ELBO(1), N)[:-1].abs().max() > 8


def test_a_bound_over_a_subset_of_components_is_another():
    problem, _ = mutated("stratified_mixture", OwnComponentOnly)
    torch.manual_seed(0)
    q = problem.make_q(*(p.expand(N, *p.shape) for p in problem.parameters))
    truth = exact_gradient(FAMILY_PROBLEMS["stratified_mixture"], ELBO(1))[1]
    f = problem.f(q.rsample(torch.Size([2])), q).mean(0)
    assert (f.mean() - truth).abs() > 8 * f.std() / N**0.5


# Stratified samples ----------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["elbo1", "elbo2", "elbo3"])
def test_some_to_all_is_unbiased_for_every_number_of_components(key):
    assert_unbiased(build("pathwise"), FAMILY_PROBLEMS["stratified_mixture"], OBJECTIVES[key], N)


def test_stratified_samples_under_an_importance_weighted_bound_are_refused():
    problem, message = FAMILY_PROBLEMS["stratified_mixture"], "needs independent samples"
    q = problem.make_q(*(p[None] for p in problem.parameters))
    for name in ("pathwise", "dreg"):
        with pytest.raises(NotImplementedError, match=message):
            build(name)(q, problem.f, IWAE(2))
        build(name)(q, problem.f, IWAE(1))  # one sample depends on no other
    assert defined(build("vimco"), problem, IWAE(2))  # its samples are independent
    assert has_truth(problem, IWAE(2))
