"""Flow posteriors: the density against the change of variables, and what stops at a parameter."""

import pytest
import torch
from conftest import FALSE_ALARM_RATE
from scipy.stats import norm

from vae.distributions.operations import detach, parameters, rebuild, select
from vae.estimators import named
from vae.models.latents.flow import FlowLatent
from vae.objectives import ELBO, IWAE

FLOWS = [
    {"flow": "MAF"},
    {"flow": "MAF", "inverse": False, "coupling": True},
    {"flow": "NSF", "coupling": True},
    {"flow": "NICE", "inverse": False},
    {"flow": "UNAF"},
]


def layer(**options):
    torch.manual_seed(1)
    return FlowLatent(4, latent_dim=3, hidden=(8,), context_features=5, **options).double()


@pytest.mark.parametrize("options", FLOWS, ids=str)
def test_the_density_is_that_of_the_change_of_variables(options):
    q = layer(**options)(torch.randn(2, 4).double())
    noise = torch.randn(2, 3).double()

    def sample(u):
        return q._move(q.loc + q.scale * u, sampling=True)[0]

    jacobian = torch.autograd.functional.jacobian(sample, noise)  # (2, 3, 2, 3)
    volume = torch.stack([jacobian[b, :, b].det().abs().log() for b in range(2)])
    expected = torch.distributions.Normal(0, 1).log_prob(noise).sum(-1) - volume
    z = sample(noise)
    tight = options["flow"] != "UNAF"  # which searches for its inverse
    torch.testing.assert_close(q.log_prob(z), expected, rtol=0, atol=1e-9 if tight else 2e-3)


@pytest.mark.parametrize("options", FLOWS[:-1], ids=str)
def test_the_density_that_is_remembered_is_that_of_a_second_pass(options):
    made, features = layer(**options), torch.randn(2, 4).double()
    q = made(features)
    z = q.rsample((3,))
    again = made(features).log_prob(z)
    weights = list(made.parameters())
    kept = torch.autograd.grad(q.log_prob(z).sum(), weights, retain_graph=True, allow_unused=True)
    passed = torch.autograd.grad(again.sum(), weights, allow_unused=True)
    torch.testing.assert_close(q.log_prob(z), again, atol=1e-4, rtol=0)
    for a, b in zip(kept, passed, strict=True):
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_a_sample_without_a_gradient_has_a_density_with_one():
    made = layer()
    q = made(torch.randn(2, 4).double())
    z = q.sample()
    assert q.log_prob(z).requires_grad
    with torch.no_grad():
        z = q.sample((2,))
        assert q.log_prob(z).shape == (2, 2)


def test_detached_it_stops_at_parameters_and_not_at_the_path():
    made = layer()
    q = made(torch.randn(2, 4).double())
    z = q.rsample()
    frozen = detach(q)
    (path,) = torch.autograd.grad(frozen.log_prob(z).sum(), z, retain_graph=True)
    assert (path != 0).any()
    assert not frozen.log_prob(z.detach()).requires_grad
    torch.testing.assert_close(frozen.log_prob(z), q.log_prob(z))
    assert {"loc", "scale", "context"} == parameters(q).keys()  # of each image, for reports
    moved = rebuild(q, loc=q.loc + 1)
    torch.testing.assert_close(moved.loc, q.loc + 1)
    torch.testing.assert_close(select(q, slice(1, 2)).log_prob(z[1:]), q.log_prob(z)[1:])
    assert q.expand((5, 2)).log_prob(z).shape == (5, 2)


@pytest.mark.parametrize(
    ("name", "other", "objective"),
    [
        ("stl", "pathwise", ELBO(1, analytic_kl=False)),
        ("reinforce", "pathwise", ELBO(1, analytic_kl=False)),
        ("dreg", "pathwise", IWAE(2)),
    ],
)
def test_estimators_agree_in_the_mean(name, other, objective):
    """Of the Gaussian's parameters, by z-tests against the pathwise estimator's."""
    made = layer(coupling=True)
    features = torch.ones(20_000, 4).double()

    def f(z, q):
        return -0.5 * (z - 1).square().sum(-1) + torch.tanh(z[..., 0] * z[..., 1]) - q.log_prob(z)

    def slopes(estimator):
        """Of each image, by a perturbation that each image has for itself: (n, D) of q's loc."""
        q = made(features)
        shift = torch.zeros_like(q.loc, requires_grad=True)
        widen = torch.zeros_like(q.loc, requires_grad=True)
        moved = rebuild(q, loc=q.loc.detach() + shift, scale=q.scale.detach() * widen.exp())
        bound = named(estimator)(moved, f, objective).bound
        return torch.cat(torch.autograd.grad(bound.sum(), [shift, widen]), -1).detach()

    a, b = slopes(name), slopes(other)
    error = ((a.var(0) + b.var(0)) / len(a)).sqrt()
    limit = norm.isf(FALSE_ALARM_RATE / 2 / a.shape[1])
    assert ((a.mean(0) - b.mean(0)) / error).abs().max() < limit
    assert (b.mean(0) / error).abs().max() > limit
