"""Estimators of k-subsets: what each is exact for, and what it is biased towards.

That the score function's estimators are unbiased on both families is tested with all others
(``test_estimators.py``). z-tests, seeded, at a family-wise false-alarm rate of 1e-6 each.
"""

import math

import pytest
import torch
from mutation import mutate
from subset_models import SUBSETS
from torch import Size
from torch.testing import assert_close

from vae.certify.assertions import assert_unbiased, bias_z_scores
from vae.certify.exact import exact_gradient, gradients
from vae.certify.problems import PROBLEMS, conditional_bernoulli_problem
from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.distributions.couplings import harden, perturb, soften
from vae.distributions.operations import support
from vae.distributions.plackett_luce import PlackettLuceSubset
from vae.distributions.subsets import top
from vae.estimators import ESTIMATORS, ImplicitMLE, Pathwise, named
from vae.estimators.implicit_mle import TERMS, map_noise
from vae.objectives import ELBO, IWAE

N = 20_000
SLOPE = torch.tensor([1.3, -0.4, 0.9, 0.2, -1.1]).double()


def linear(problem):
    return problem._replace(f=lambda z, q: z @ SLOPE[: z.shape[-1]] - 2)


# SIMPLE
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [1, 3])
def test_simple_is_exact_for_linear_f_and_for_nothing_more(K):
    problem = PROBLEMS["conditional_bernoulli"]
    torch.manual_seed(0)
    assert_unbiased(named("simple"), linear(problem), ELBO(K), N)
    with pytest.raises(AssertionError, match="is biased"):
        assert_unbiased(named("simple"), problem, ELBO(K), N)
    assert named("simple").exact_for == "linear"


def test_simple_has_no_variance_for_linear_f():
    grads, _ = gradients(named("simple"), linear(PROBLEMS["conditional_bernoulli"]), ELBO(1), 50)
    assert_close(grads, grads[:1].expand_as(grads))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("base_of(q).mean)", "base_of(q).logits.softmax(-1) * base_of(q).k)"),
        ("base_of(q).mean)", "base_of(q).logits.sigmoid())"),
    ],
)
def test_other_marginals_than_the_subsets_are_seen(old, new):
    """Those of independent variables, or of one item k times: the error that SIMPLE mends."""
    torch.manual_seed(0)
    mutant = mutate(named("simple").sampler, old, new)
    z = bias_z_scores(Pathwise(mutant), linear(PROBLEMS["conditional_bernoulli"]), ELBO(1), 1000)
    assert z[:-2].abs().max() > 20


def test_a_density_that_is_not_normalised_is_seen():
    class Unnormalised(ConditionalBernoulli):
        def log_prob(self, value):
            return (value * self.logits).sum(-1)

    honest = conditional_bernoulli_problem()
    problem = honest._replace(make_q=lambda logits: Unnormalised(2, logits, validate_args=False))
    torch.manual_seed(0)
    grads, _ = gradients(named("reinforce"), problem._replace(f=honest.f), ELBO(1), N)
    exact, _ = exact_gradient(honest, ELBO(1))
    z = (grads.mean(0) - exact) / (grads.std(0) / math.sqrt(N))
    assert z.abs().max() > 8


# Gumbel top-k
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_a_relaxed_subset_sums_to_k_and_hardens_to_the_subset(temperature):
    torch.manual_seed(0)
    q = PlackettLuceSubset(3, torch.randn(2, 7).double())
    perturbed = perturb(q, Size([200]))
    soft, hard = soften(q, perturbed, temperature), harden(q, perturbed)
    assert_close(soft.sum(-1), torch.full((200, 2), 3.0).double())
    assert (soft >= 0).all() and torch.equal(hard, top(perturbed, 3))
    near = (top(soft, 3) == hard).all(-1).double().mean()
    assert near > 0.8 and (soft - hard).abs().mean() < (0.1 if temperature < 1 else 0.4)


def test_one_of_n_items_is_the_gumbel_softmax():
    torch.manual_seed(0)
    q = PlackettLuceSubset(1, torch.randn(4))
    perturbed = perturb(q, Size([5]))
    assert_close(soften(q, perturbed, 0.7), (perturbed / 0.7).softmax(-1))


def test_the_relaxation_loses_its_bias_as_the_temperature_falls():
    whole = PROBLEMS["plackett_luce"]
    problem = whole._replace(f=lambda z, q: whole.log_target(z))  # log q has no slope in z
    exact, _ = exact_gradient(problem, ELBO(1))
    errors = []
    for temperature in (2.0, 0.5, 0.1):
        torch.manual_seed(0)
        estimator = ESTIMATORS["gumbel_top_k"](temperature=temperature)
        grads, _ = gradients(estimator, problem, ELBO(1), 100_000)
        errors.append((grads.mean(0) - exact).norm())
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0


@pytest.mark.parametrize("name", ["gumbel_top_k", "st_gumbel_top_k", "imle"])
@pytest.mark.parametrize("objective", [IWAE(2), ELBO(2, analytic_kl=False)])
def test_a_density_without_a_slope_in_z_is_refused_inside_f(name, objective):
    q = PROBLEMS["plackett_luce"].make_q(torch.zeros(2, 4).double())
    with pytest.raises(NotImplementedError, match="PlackettLuceSubset, .* no derivative in z"):
        named(name)(q, lambda z, q: z.sum(-1), objective)


def test_a_model_says_so_when_it_is_made():
    with pytest.raises(NotImplementedError, match="take ELBO with the KL in closed form"):
        SUBSETS["plackett_luce"](estimator="gumbel_top_k", kl="monte_carlo")
    with pytest.raises(
        NotImplementedError, match="no closed form: give the ELBO analytic_kl=False"
    ):
        SUBSETS["plackett_luce"](estimator="rloo", num_variables=30, k=8)
    SUBSETS["plackett_luce"](estimator="rloo", num_variables=30, k=8, kl="monte_carlo")
    with pytest.raises(ValueError, match="k must be from 1 to 4, below num_variables, got 5"):
        SUBSETS["conditional_bernoulli"](k=5)
    with pytest.raises(ValueError, match="k must be at most 10, got 12"):
        SUBSETS["plackett_luce"](num_variables=30, k=12, kl="monte_carlo")
    with pytest.raises(
        NotImplementedError, match="SIMPLE.* is not defined for PlackettLuceSubset"
    ):
        SUBSETS["plackett_luce"](estimator="simple")


# I-MLE
# ----------------------------------------------------------------------------------------


def quotient(problem, step):
    """The difference quotient of the enumerated mean along the slope of a linear f."""
    (logits,) = problem.parameters
    q, p = (problem.make_q(l[None]) for l in (logits, logits + step * SLOPE[: len(logits)]))
    return ((p.mean - q.mean) / step)[0]


def z_of_quotient(estimator, step, K, n=N):
    problem = PROBLEMS["plackett_luce"]
    torch.manual_seed(0)
    grads, _ = gradients(estimator, linear(problem), ELBO(K), n)
    error = grads.mean(0) - quotient(problem, step)
    return (error / (grads.std(0) / math.sqrt(n))).abs().max()


@pytest.mark.parametrize("step, K", [(0.3, 1), (3.0, 1), (3.0, 4)])
def test_imle_is_a_difference_quotient_of_the_mean_for_linear_f(step, K):
    assert z_of_quotient(ImplicitMLE(step), step, K) < 5.3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("perturbed + self.step * slope", "perturbed - self.step * slope"),
        ("weight * moved / self.step", "weight * moved"),
        (
            "perturbed + self.step * slope",
            "logits + self.step * slope + map_noise(base, Size([K]))[..., :1]",
        ),
        ("perturbed + self.step * slope", "perturbed + self.step * slope / K"),
    ],
)
def test_a_mutant_of_imle_is_seen(old, new):
    assert z_of_quotient(mutate(ImplicitMLE(3.0), old, new), 3.0, 4, 5000) > 8


def test_its_limit_is_the_gradient_of_a_linear_f():
    problem = linear(PROBLEMS["plackett_luce"])
    exact, _ = exact_gradient(problem, ELBO(1))
    assert_close(quotient(PROBLEMS["plackett_luce"], 1e-5), exact, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3])
def test_k_of_the_gamma_sums_add_up_to_a_gumbel_variable(k, assert_mean):
    """Cut off after ten terms: its mean is H_10 - log 10, not 0.577, its variance 1.55, not 1.64."""
    torch.manual_seed(0)
    q = ConditionalBernoulli(k, torch.zeros(3).double())
    total = map_noise(q, Size([50_000]))[:, :k].sum(-1)
    t = torch.arange(1, TERMS + 1).double()
    mean = (1 / t).sum() - math.log(TERMS)
    assert_mean(total, mean)
    assert_mean((total - mean).square(), (1 / t.square()).sum())


def test_the_gamma_sums_draw_no_conditional_bernoulli_variables():
    """Nor does Gumbel noise, which comes nearer: what the docstring says."""
    torch.manual_seed(0)
    q = ConditionalBernoulli(2, 1.5 * torch.randn(1, 5).double())
    law = q.log_prob(support(q)).exp()[:, 0]

    def distance(noise):
        z = top(q.logits + noise, 2)
        found = (z == support(q)[:, 0][:, None, None]).all(-1).double().mean((1, 2))
        return (found - law).abs().sum() / 2

    gamma = map_noise(q, Size([100_000]))
    gumbel = map_noise(PlackettLuceSubset(2, q.logits), Size([100_000]))
    assert distance(gumbel) == pytest.approx(0.035, abs=0.01)
    assert distance(gamma) == pytest.approx(0.17, abs=0.01)


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan])
def test_a_step_is_positive(step):
    with pytest.raises(ValueError, match="step must be positive"):
        ESTIMATORS["imle"](step=step)
