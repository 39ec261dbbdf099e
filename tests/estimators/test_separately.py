"""Estimators of two terms, and of the chi bound's limit."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vae.certify.exact import exact_gradient
from vae.certify.problems import PROBLEMS
from vae.estimators import (
    RLOO,
    ChiVI,
    DisARM,
    Enumerate,
    LocalExpectation,
    Pathwise,
    Separately,
    StickingTheLanding,
    named,
)
from vae.models.composition import compose
from vae.models.latents.binary import Binary
from vae.objectives import CUBO, ELBO, IWAE, Terms

N = 20_000
PAIRS = {
    ("bernoulli", "rloo", "enumerate"),
    ("bernoulli", "disarm", "local_expectation"),
    ("bernoulli", "muprop", "rloo"),
    ("one_hot", "disarm_tree", "enumerate"),
    ("one_hot", "rloo", "reinforce"),
    ("gaussian", "reinforce", "stl"),
    ("gaussian", "pathwise", "measure_valued"),
}


def split(problem, beta):
    """The problem's f in two terms, the target and the entropy; together, f where beta is 1."""
    return Terms(lambda z, q: problem.log_target(z), lambda z, q: -beta * q.log_prob(z))


def estimates(estimator, problem, f, objective, n):
    leaves = [p.expand(n, *p.shape).clone().requires_grad_() for p in problem.parameters]
    value = estimator(problem.make_q(*leaves), f, objective, torch.ones(n, 1).double()).bound
    grads = torch.autograd.grad(value.sum(), leaves)
    return torch.cat([*(g.reshape(n, -1) for g in grads), value.detach()[:, None]], 1)


@pytest.mark.parametrize("family, first, second", sorted(PAIRS))
def test_two_unbiased_estimates_are_one(family, first, second, beta=0.4):
    """A z-test at a family-wise false-alarm rate of 1e-6 a case."""
    torch.manual_seed(0)
    problem, objective = PROBLEMS[family], ELBO(2, analytic_kl=False)
    estimator = Separately(named(first), named(second)).double().eval()
    assert estimator.bias is None
    f = split(problem, beta)
    exact, value = exact_gradient(problem._replace(f=f), objective)
    found = estimates(estimator, problem, f, objective, N)
    error = found.mean(0) - torch.cat([exact, value[None]])
    z = error / (found.std(0) / math.sqrt(N)).clamp_min(1e-12)
    assert z.abs().max() < 5.6, z


def test_each_has_its_own_term():
    class Recording(RLOO):
        def estimate(self, q, f, objective, context):
            self.seen = f
            return super().estimate(q, f, objective, context)

    problem, f = PROBLEMS["bernoulli"], split(PROBLEMS["bernoulli"], 1.0)
    first, second = Recording(), Recording()
    estimates(Separately(first, second), problem, f, ELBO(2, analytic_kl=False), 3)
    assert first.seen is f.reconstruction and second.seen is f.kl


def test_claims_are_those_of_both():
    both = Separately(named("reinmax"), RLOO())
    assert both.bias == named("reinmax").bias and both.needs_gradient and both.min_samples == 2
    assert both.cost(3, 5, 2) == named("reinmax").cost(3, 5, 2)  # the KL takes no decoder
    assert Separately(DisARM(), Enumerate()).bias is None
    assert (
        Separately(Pathwise(), StickingTheLanding()).extra_name().startswith("Separately(Pathwise")
    )


def composed(objective, estimator, **parts):
    return compose((1, 8, 8), objective=objective, estimator=estimator, **parts)


@pytest.mark.parametrize(
    "first, second, latent",
    [(Pathwise(), StickingTheLanding(), None), (DisARM(), LocalExpectation(), Binary)],
)
def test_on_gaussian_and_discrete_latents_alike(first, second, latent):
    parts = {} if latent is None else {"latent": lambda width: latent(width, 4)}
    model = composed(ELBO(2, analytic_kl=False), Separately(first, second), **parts)
    model.bound(torch.rand(5, 1, 8, 8).round()).loss.backward()
    for p in nn.ModuleList([model.vae.encoder, model.vae.likelihood]).parameters():
        assert p.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "objective, first, second, words",
    [
        (ELBO(2), RLOO(), RLOO(), "has its KL in closed form"),
        (IWAE(2), Pathwise(), Pathwise(), "is not defined for IWAE: it takes ELBO"),
        (
            ELBO(2, analytic_kl=False),
            DisARM(),
            Pathwise(),
            "DisARM is not defined for Independent",
        ),
        (ELBO(1, analytic_kl=False), Pathwise(), RLOO(), "needs num_samples >= 2, got 1"),
        (CUBO(3), ChiVI(), None, "CUBO trains q only"),
        (ELBO(3), ChiVI(), None, "ChiVI is not defined for ELBO: it takes CUBO"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(objective, first, second, words):
    estimator = first if second is None else Separately(first, second)
    with pytest.raises((ValueError, NotImplementedError), match=words) as error:
        composed(objective, estimator)
    assert "\n" not in str(error.value)


def test_chi_vi_is_the_limits_gradient():
    """Of 4,000 samples, against the sum over all configurations: the bias is O(1 / K)."""
    torch.manual_seed(0)
    problem, order, K, n = PROBLEMS["bernoulli"], 2.0, 4_000, 200
    leaves = [p[None].clone().requires_grad_() for p in problem.parameters]
    q = problem.make_q(*leaves)
    z = torch.cartesian_prod(*[torch.arange(2.0)] * 3).double()[:, None]  # (8, 1, 3)
    limit = -((1 - order) * q.log_prob(z) + order * problem.log_target(z)).logsumexp(0) / order
    (exact,) = torch.autograd.grad(limit.sum(), leaves)
    found = estimates(ChiVI(), problem, problem.f, CUBO(K, order), n)[:, :-1]
    z = (found.mean(0) - exact[0]) / (found.std(0) / math.sqrt(n))
    assert z.abs().max() < 5, z
    assert_close(found.mean(0), exact[0], atol=0.02, rtol=0.02)
