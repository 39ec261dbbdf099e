"""The bound of a model, by hand; a model is anything with four methods."""

import math

import pytest
import torch
from torch import tensor
from torch.distributions import Independent, Normal, kl_divergence
from torch.testing import assert_close

from vae.estimators import Estimate, Pathwise
from vae.models.bound import bound
from vae.objectives import ELBO, IWAE

X = tensor([[0.3], [-1.0], [2.0]], dtype=torch.float64)
PRIOR = Independent(Normal(torch.zeros(1).double(), 1.0), 1)


class Linear:
    """x = z + e, z and e standard Gaussian: log p(x) is known."""

    def __init__(self, scale=0.5):
        self.scale = tensor([scale], dtype=torch.float64, requires_grad=True)

    def posterior(self, x):
        return Independent(Normal(x / 2, self.scale.expand_as(x)), 1)

    def decode(self, z):
        return Independent(Normal(z, 1.0), 1)

    def prior(self):
        return PRIOR

    def kl(self, q):
        return kl_divergence(q, PRIOR.expand(q.batch_shape))


EVIDENCE = Normal(0.0, math.sqrt(2)).log_prob(X)[:, 0]


def test_any_model_will_do_and_the_true_posterior_gives_log_p_of_x():
    model = Linear(math.sqrt(0.5))
    for objective in (IWAE(3), ELBO(2, analytic_kl=False)):
        assert_close(bound(model, objective, Pathwise(), X).bound, EVIDENCE)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_the_penalty_is_subtracted_and_the_gradient_is_the_whole_bound_s(beta):
    model, K = Linear(), 4
    torch.manual_seed(0)
    estimate = bound(model, ELBO(K, beta), Pathwise(), X)
    s = model.scale.detach().requires_grad_()
    torch.manual_seed(0)
    z = Normal(X / 2, s.expand_as(X)).rsample((K,))
    expected = (-0.5 * (X - z) ** 2 - 0.5 * math.log(2 * math.pi)).mean(0)
    expected = (expected - beta * (0.5 * (s**2 + X**2 / 4 - 1) - s.log()))[:, 0]
    assert_close(estimate.bound, expected)
    (own,) = torch.autograd.grad(estimate.loss, model.scale)
    (right,) = torch.autograd.grad(-expected.mean(), s)
    assert_close(own, right)


def test_a_posterior_that_is_given_is_used():
    model = Linear()
    q = Independent(Normal(X, 0.1), 1)
    torch.manual_seed(0)
    given = bound(model, IWAE(2), Pathwise(), X, q).bound
    model.posterior = lambda x: q
    torch.manual_seed(0)
    assert_close(given, bound(model, IWAE(2), Pathwise(), X).bound, rtol=0, atol=0)


def test_a_loss_is_the_auxiliary_minus_the_mean_bound():
    assert Estimate(tensor([1.0, 4.0])).loss == -2.5
    assert Estimate(tensor([1.0, 4.0]), tensor(3.0)).loss == 0.5
