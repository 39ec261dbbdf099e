"""RODEO: unbiased whatever its surrogates are, which train themselves and nothing else.

Statistical tests are seeded, at a false-alarm rate of 1e-6 each.
"""

import pytest
import torch

from vae.certify.assertions import assert_unbiased
from vae.certify.exact import gradients
from vae.certify.problems import PROBLEMS
from vae.estimators import named
from vae.objectives import ELBO


def shaken(seed=1):
    """The estimator with a network that is not zero."""
    torch.manual_seed(seed)
    estimator = named("rodeo").double()
    with torch.no_grad():
        for p in estimator.parameters():
            p += torch.randn_like(p)
    return estimator


@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
def test_unbiased_at_any_surrogate(family):
    assert_unbiased(shaken(), PROBLEMS[family], ELBO(3), 20_000)


@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
def test_of_a_linear_f_each_variable_has_its_own_noise_only(family):
    problem, seen = PROBLEMS[family], []

    def f(z, q):
        seen.append(z)
        flat = z.flatten(2)
        return flat @ torch.linspace(-1.0, 2.0, flat.shape[-1], dtype=z.dtype)

    grads, _ = gradients(named("rodeo").double(), problem._replace(f=f), ELBO(2), 500)
    z = seen[0]  # (2, n, D) or (2, n, D, C)
    D = z.shape[2]
    grads = grads.reshape(len(grads), D, -1)
    for d in range(D):
        own = z[:, :, d].reshape(2, len(grads), -1).movedim(0, 1).flatten(1)
        for value in own.unique(dim=0):
            same = grads[(own == value).all(1), d]
            torch.testing.assert_close(same, same[:1].expand_as(same))
    assert len(z.movedim(1, 0).flatten(1).unique(dim=0)) > 20


def test_training_lowers_the_variance():
    problem, objective = PROBLEMS["bernoulli"], ELBO(2)
    estimator = named("rodeo").double()
    q = problem.make_q(problem.parameters[0].expand(1000, -1))

    def variance():
        torch.manual_seed(2)
        return gradients(estimator, problem, objective, 20_000)[0].var(0).sum().item()

    before, optimizer = variance(), torch.optim.Adam(estimator.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        estimator(q, problem.f, objective).auxiliary.backward()
        optimizer.step()
    assert variance() < 0.8 * before


def test_it_trains_itself_and_nothing_else():
    problem, estimator = PROBLEMS["one_hot"], shaken()
    logits = problem.parameters[0].expand(4, -1, -1).clone().requires_grad_()
    theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    f = lambda z, q: theta * problem.f(z, q)
    estimate = estimator(problem.make_q(logits), f, ELBO(3))
    own = list(estimator.parameters())
    grads = torch.autograd.grad(
        estimate.auxiliary, [logits, theta, *own], retain_graph=True, allow_unused=True
    )
    assert grads[0] is None and grads[1] is None
    assert all(g is not None and g.abs().sum() > 0 for g in grads[2:-1])
    grads = torch.autograd.grad(estimate.bound.sum(), own, allow_unused=True)
    assert all(g is None for g in grads)
