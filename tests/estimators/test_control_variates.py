"""What is particular to MuProp, OVIS, double control variates and wake-sleep: where they are
exact, biases in closed form, coefficients that train themselves.

Statistical tests are seeded and two-sided at a family-wise false-alarm rate of 1e-6 each.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal
from torch.testing import assert_close

from vae.certify.assertions import assert_unbiased
from vae.certify.exact import exact_gradient, gradients
from vae.certify.problems import Problem, bernoulli_problem, gaussian_problem, one_hot_problem
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import support
from vae.estimators import Enumerate, Estimate, LeaveOneOut, ScoreFunction
from vae.estimators.double_control_variates import DoubleControlVariates
from vae.estimators.muprop import MuProp
from vae.estimators.ovis import OVIS, OVISMonteCarlo
from vae.estimators.wake_sleep import WakeSleep
from vae.objectives import ELBO, IWAE

PROBLEMS = {
    "bernoulli": bernoulli_problem(),
    "one_hot": one_hot_problem(),
    "gaussian": gaussian_problem(),
}
N = 20_000


def exact(problem: Problem, objective, estimator=None) -> Tensor:
    """The gradient by enumeration, or the one that a surrogate of all tuples defines."""
    if estimator is None:
        return exact_gradient(problem, objective)[0]
    return gradients(estimator, problem, objective, 1)[0][0]


def linear(problem: Problem) -> Problem:
    """The problem with a linear f, free of q."""

    def f(z, q):
        flat = z.reshape(*z.shape[:2], -1)
        return flat @ torch.linspace(-1.0, 2.0, flat.shape[-1], dtype=z.dtype) + 0.3

    return problem._replace(f=f)


# Exactness ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", PROBLEMS)
@pytest.mark.parametrize("num_samples", [1, 3])
def test_muprop_is_exact_and_without_variance_for_linear_f(family, num_samples):
    problem = linear(PROBLEMS[family])
    grads, _ = gradients(MuProp(), problem, ELBO(num_samples), 100)
    assert_close(grads, exact(problem, ELBO(1)).expand_as(grads))


@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
@pytest.mark.parametrize("num_samples", [2, 4])
def test_double_control_variates_at_one_are_exact_for_linear_f(family, num_samples):
    problem = linear(PROBLEMS[family])
    grads, _ = gradients(DoubleControlVariates(1.0), problem, ELBO(num_samples), 100)
    assert_close(grads, exact(problem, ELBO(1)).expand_as(grads))
    # and leave-one-out, which is alpha = 0, is not
    grads, _ = gradients(DoubleControlVariates(0.0), problem, ELBO(num_samples), 100)
    assert grads.std(0).max() > 0.01


@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
@pytest.mark.parametrize("objective", [ELBO(3), IWAE(3)])
def test_double_control_variates_at_zero_are_leave_one_out(family, objective):
    estimates = []
    for estimator in (DoubleControlVariates(0.0), ScoreFunction(LeaveOneOut())):
        torch.manual_seed(0)
        estimates.append(gradients(estimator, PROBLEMS[family], objective, 100)[0])
    assert_close(*estimates)


def test_double_control_variates_are_the_papers_formula_for_two_samples():
    # by hand, on logits l: with e_k = z_k - m and g_k the gradient of f at z_k,
    # 1/2 (f_1 - f_2 - a <g_2, e_1> + a <g_1, e_2>) (e_1 - e_2) + a (g_1 + g_2) / 2 * m (1 - m)
    a, n, seen = 0.7, 5, []
    w = torch.linspace(-1.0, 1.0, 3, dtype=torch.float64)

    def f(z, q):
        seen.append(z)
        return (z @ w).square() + z[..., 0] * z[..., 1]

    problem = PROBLEMS["bernoulli"]._replace(f=f)
    grads, _ = gradients(DoubleControlVariates(a).double(), problem, ELBO(2), n)
    z, m = seen[0], problem.parameters[0].sigmoid()
    z1, z2 = z.unbind(0)

    def slope(z):
        return 2 * (z @ w)[:, None] * w + torch.stack([z[:, 1], z[:, 0], 0 * z[:, 0]], 1)

    g1, g2 = slope(z1), slope(z2)
    f1, f2 = (z @ w).square() + z[..., 0] * z[..., 1]
    signal = f1 - f2 - a * (g2 * (z1 - m)).sum(-1) + a * (g1 * (z2 - m)).sum(-1)
    by_hand = signal[:, None] * (z1 - z2) / 2 + a * (g1 + g2) / 2 * m * (1 - m)
    assert_close(grads, by_hand)


# Any coefficient ------------------------------------------------------------------------------


TUNED = {
    "muprop": MuProp(),
    "double control variates": DoubleControlVariates(0.8),
    "double control variates, negative": DoubleControlVariates(-0.5),
    "ovis-mc": OVISMonteCarlo(3),
}


@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
@pytest.mark.parametrize(
    ("name", "objective"),
    [
        (name, objective)
        for name, estimator in TUNED.items()
        for objective in (ELBO(2), IWAE(2), IWAE(3))
        if isinstance(objective, estimator.objectives)
    ],
)
def test_unbiased_at_any_coefficient(name, family, objective):
    assert_unbiased(TUNED[name].double(), PROBLEMS[family], objective, N)


# Biases in closed form ------------------------------------------------------------------------


class WakePhase(Enumerate):
    """E[sum_k v_k grad log q(z_k)], by enumeration of all K-tuples."""

    def estimate(self, q, f, objective, context):
        z = support(q)  # (S, B, *event)
        log_q = q.log_prob(z)  # (S, B)
        fz = f(z, q).detach()
        index = torch.arange(len(z))
        tuples = torch.cartesian_prod(*[index] * objective.num_samples).T  # (K, S^K)
        v = fz[tuples].softmax(0)  # (K, S^K, B)
        probability = log_q.detach()[tuples].sum(0).exp()
        return Estimate((probability * (v * log_q[tuples]).sum(0)).sum(0))


@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
@pytest.mark.parametrize("num_samples", [2, 3])
def test_wake_sleep_is_the_self_normalised_estimate(family, num_samples, assert_mean):
    problem, objective = PROBLEMS[family], IWAE(num_samples)
    grads, bound = gradients(WakeSleep(), problem, objective, N)
    assert_mean(grads, exact(problem, objective, WakePhase()))
    assert_mean(bound, exact_gradient(problem, objective)[1])


@pytest.mark.parametrize("gamma", [0.3, 1.0])
@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
def test_ovis_at_gamma_is_the_bound_and_gamma_times_the_wake_phase(family, gamma, assert_mean):
    problem, objective = PROBLEMS[family], IWAE(3)
    grads, _ = gradients(OVIS(gamma), problem, objective, N)
    wake = exact(problem, objective, WakePhase())
    assert wake.norm() > 0.05
    assert_mean(grads, exact(problem, objective) + gamma * wake)


def forward_kl(problem: Problem) -> Tensor:
    """The gradient of -KL(posterior || q) = E_posterior[log q] + constant."""
    leaves = [p[None].clone().requires_grad_() for p in problem.parameters]
    q = problem.make_q(*leaves)
    z = support(q)
    posterior = problem.log_target(z).softmax(0)
    grads = torch.autograd.grad((posterior * q.log_prob(z)).sum(), leaves)
    return torch.cat([g.flatten() for g in grads])


def test_wake_sleep_tends_to_the_forward_divergence_as_one_over_k():
    problem, truth = PROBLEMS["bernoulli"], forward_kl(PROBLEMS["bernoulli"])
    errors = [(exact(problem, IWAE(k), WakePhase()) - truth).norm() for k in (2, 3, 4, 5)]
    assert all(a > b for a, b in zip(errors, errors[1:], strict=False)), errors
    torch.manual_seed(0)
    grads, _ = gradients(WakeSleep(), problem, IWAE(200), 2000)
    error = grads.mean(0) - truth
    noise = (grads.var(0).sum() / len(grads)).sqrt()
    assert error.norm() < 0.05 * errors[0] + 6 * noise  # the bias falls by 2/200, or so


def test_forward_divergence_is_zero_at_the_posterior_in_the_mean(assert_mean):
    problem = PROBLEMS["one_hot"]

    def f(z, q):  # constant at q: equal weights, so the scores average to zero
        posterior = problem.make_q(*(p[None] for p in problem.parameters))
        return posterior.log_prob(z) - q.log_prob(z)

    grads, _ = gradients(WakeSleep(), problem._replace(f=f), IWAE(3), N)
    assert_mean(grads, 0.0)


# The optimum and the large-K limit of OVIS ----------------------------------------------------


def test_ovis_has_the_higher_signal_to_noise_ratio_where_the_theorem_says():
    # At fixed q away from the posterior: SNR of OVIS grows as sqrt(K), of VIMCO falls as 1/sqrt(K)
    # (the paper's section 3). K = 8 to 128 is 4 octaves: a factor of 4 against one of 1/4.
    problem, ratios = PROBLEMS["bernoulli"], {}
    for name, estimator in (("ovis", OVIS()), ("vimco", ScoreFunction(LeaveOneOut()))):
        torch.manual_seed(0)
        snr = []
        for k in (8, 128):
            grads, _ = gradients(estimator, problem, IWAE(k), 10_000)
            snr.append((grads.mean(0).abs() / grads.std(0)).median())
        ratios[name] = snr[1] / snr[0]
    assert ratios["ovis"] > 2.5, ratios
    assert ratios["vimco"] < ratios["ovis"] / 2, ratios


def test_ovis_signals_by_hand():
    w = torch.tensor([[1.0], [2.0], [5.0]], dtype=torch.float64)  # (K, 1)
    z, v = torch.eye(3, dtype=torch.float64)[:, None], w / w.sum()
    for gamma in (0.0, 0.4, 1.0):
        logits = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
        q = OneHotCategorical(logits=logits, validate_args=False)
        q.sample = lambda shape: z
        bound = OVIS(gamma)(q, lambda z, q: w.log(), IWAE(3)).bound
        (got,) = torch.autograd.grad(bound.sum(), logits)
        log_z, others = (w.mean()).log(), ((w.sum() - w) / 2).log()
        c = others - gamma * v + (1 - gamma) * math.log(1 - 1 / 3)
        signal = (log_z - v) - c + v  # the -v_k of d_k is autograd's, and f here is free of q
        assert_close(got, (signal * (z[:, 0] - 1 / 3)).sum(0, keepdim=True))


# Parameters -----------------------------------------------------------------------------------


def test_the_coefficient_trains_itself_and_nothing_else():
    problem = PROBLEMS["one_hot"]
    estimator = DoubleControlVariates(0.3).double()
    logits = problem.parameters[0].expand(4, -1, -1).clone().requires_grad_()
    theta = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)

    def f(z, q):
        return theta * problem.f(z, q)

    estimate = estimator(problem.make_q(logits), f, IWAE(3))
    leaves = [logits, theta, estimator.alpha]
    grads = torch.autograd.grad(estimate.auxiliary, leaves, retain_graph=True, allow_unused=True)
    assert grads[0] is None and grads[1] is None and grads[2] != 0
    grads = torch.autograd.grad(estimate.bound.sum(), leaves, allow_unused=True)
    assert grads[0] is not None and grads[1] is not None and grads[2] is None


@pytest.mark.parametrize("objective", [ELBO(3), IWAE(3)], ids=["elbo", "iwae"])
def test_the_auxiliary_is_the_second_moment_of_the_gradient(objective):
    problem, estimator = PROBLEMS["bernoulli"], DoubleControlVariates(0.3).double()
    torch.manual_seed(1)
    logits = problem.parameters[0].expand(6, -1).clone().requires_grad_()
    estimate = estimator(problem.make_q(logits), problem.f, objective)
    (g,) = torch.autograd.grad(estimate.bound.sum(), logits)
    assert_close(estimate.auxiliary.detach(), g.square().sum(-1).mean())


@pytest.mark.e2e
@pytest.mark.parametrize("objective", [ELBO(3), IWAE(3)], ids=["elbo", "iwae"])
@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
def test_training_the_coefficient_lowers_the_variance(family, objective):
    torch.manual_seed(0)
    problem, estimator = PROBLEMS[family], DoubleControlVariates(0.0).double()
    p = problem.parameters[0]
    optimizer = torch.optim.Adam(estimator.parameters(), lr=0.05)
    q = problem.make_q(p.expand(2000, *p.shape).clone())
    for _ in range(60):
        optimizer.zero_grad()
        estimator(q, problem.f, objective).auxiliary.backward()
        optimizer.step()
    variance = {}
    for alpha in (0.0, estimator.alpha.item()):
        grads, _ = gradients(DoubleControlVariates(alpha).double(), problem, objective, N)
        variance[alpha] = grads.var(0).sum()
    assert abs(estimator.alpha) > 0.05
    assert variance[estimator.alpha.item()] < 0.98 * variance[0.0], variance


SPECIAL = {
    "muprop": (MuProp(), ELBO(2)),
    "muprop, weighted": (MuProp(), IWAE(2)),
    "ovis": (OVIS(0.5), IWAE(2)),
    "ovis-mc": (OVISMonteCarlo(2), IWAE(2)),
    "double control variates": (DoubleControlVariates(0.5), ELBO(2)),
    "double control variates, weighted": (DoubleControlVariates(0.5), IWAE(2)),
    "wake-sleep": (WakeSleep(), IWAE(2)),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_the_model_gets_the_plain_gradient_of_the_bound(name):
    estimator, objective = SPECIAL[name]
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    problem = PROBLEMS["one_hot"]
    q = problem.make_q(*(p.expand(5, *p.shape) for p in problem.parameters))
    seen = []

    def f(z, q):
        seen.append(z)
        return theta * problem.f(z, q)

    bound = estimator.double()(q, f, objective).bound
    plain = objective.reduce(theta * problem.f(seen[0].detach(), q))
    got, want = (torch.autograd.grad(b.sum(), theta)[0] for b in (bound, plain))
    assert_close(got, want, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", SPECIAL)
def test_a_distribution_without_independent_and_single_precision(name):
    estimator, objective = SPECIAL[name]
    logits = torch.randn(4, requires_grad=True)
    q = Bernoulli(logits=logits, validate_args=False)  # event shape ()
    f = lambda z, q: (z - 0.4).square() - q.log_prob(z)
    estimate = estimator.float()(q, f, objective)
    assert estimate.bound.dtype == torch.float32 and estimate.bound.shape == (4,)
    (grad,) = torch.autograd.grad(estimate.bound.sum(), logits)
    assert grad.isfinite().all()


def test_muprop_of_a_gaussian_is_right_in_the_scale_too(assert_mean):
    # E[-(z - c)^2]: -2(m - c) and, in log s, -2 s^2, which the linear term does not see
    n, m, log_s, c = 100_000, 0.4, -0.2, 1.5
    loc = torch.full((n, 1), m, dtype=torch.float64, requires_grad=True)
    log_scale = torch.full((n, 1), log_s, dtype=torch.float64, requires_grad=True)
    q = Independent(Normal(loc, log_scale.exp()), 1)
    bound = MuProp()(q, lambda z, q: -(z[..., 0] - c).square(), ELBO(1)).bound
    grads = torch.cat(torch.autograd.grad(bound.sum(), [loc, log_scale]), 1)
    assert_mean(grads, torch.tensor([-2 * (m - c), -2 * math.exp(2 * log_s)]))


# Claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [-0.1, 1.1, math.nan])
def test_gamma_is_in_the_unit_interval(gamma):
    with pytest.raises(ValueError, match="gamma must be in"):
        OVIS(gamma)


def test_ovis_claims_to_be_unbiased_only_where_it_is():
    assert OVIS().bias is None and OVISMonteCarlo().bias is None
    assert "wake-phase" in OVIS(0.5).bias


def test_ovis_monte_carlo_counts_its_samples():
    with pytest.raises(ValueError, match="auxiliary_samples must be at least 1"):
        OVISMonteCarlo(0)
    assert OVISMonteCarlo(4).cost(5, 3, 2) == 9
