"""The notes that the project grew from, run with their numbers: the score function and the
pathwise derivative, Gumbel and Gaussian reparameterization, and the base class of distributions.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Size
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    constraints,
    kl_divergence,
)
from torch.distributions.utils import clamp_probs
from torch.testing import assert_close

from vae.distributions.concrete import RelaxedOneHotCategorical
from vae.distributions.couplings import harden, perturb
from vae.distributions.one_hot import OneHotCategorical, gumbel_like
from vae.estimators import Pathwise, ScoreFunction
from vae.objectives import ELBO

REWARD = 0.8  # next_state, reward = -1, 0.8


def policy():
    torch.manual_seed(0)
    return torch.rand(4).requires_grad_()


def expected_gradient(probs, action):
    """Of -0.8 log(probs[a] / sum(probs)): 0.8 / sum, less 0.8 / probs[a] at the drawn entry."""
    gradient = torch.full((4,), (REWARD / probs.sum()).item())
    gradient[action] -= REWARD / probs[action].item()
    return gradient


# Score function
# ----------------------------------------------------------------------------------------


def test_reinforce_of_the_notes():
    probs = policy()
    m = Categorical(probs)
    action = m.sample()
    loss = -m.log_prob(action) * REWARD
    loss.retain_grad()
    loss.backward()
    assert_close(loss.grad, torch.tensor(1.0))
    assert not action.requires_grad and action.grad is None  # no gradient passes a sample
    assert_close(probs.grad, expected_gradient(probs, action))


NOTED = torch.tensor([0.5387, -0.5026, 0.5387, 0.5387])


@pytest.mark.parametrize("family", [Categorical, OneHotCategorical])
def test_the_numbers_of_the_notes(family):
    probs, action = policy(), torch.tensor(1)
    value = action if family is Categorical else torch.nn.functional.one_hot(action, 4)
    (-family(probs).log_prob(value) * REWARD).backward()
    assert_close(probs.grad, NOTED, atol=1e-4, rtol=0)
    assert_close(probs.grad, expected_gradient(probs, action))


@pytest.mark.parametrize("seed", range(5))
def test_score_function_estimator_gives_the_gradient_of_the_notes(seed):
    probs, drawn = policy(), []
    torch.manual_seed(seed)

    def reward(z, q):  # of the environment: a number, not differentiable
        drawn.append(z)
        return torch.full(z.shape[:-1], REWARD)

    q = OneHotCategorical(probs[None])
    estimate = ScoreFunction()(q, reward, ELBO(1))
    assert_close(estimate.bound, torch.tensor([REWARD]))  # the value is the reward itself
    (-estimate.bound.sum()).backward()
    assert not drawn[0].requires_grad
    assert_close(probs.grad, expected_gradient(probs, drawn[0].argmax().item()))


# Pathwise derivative
# ----------------------------------------------------------------------------------------


def test_rsample_of_the_notes():
    torch.manual_seed(0)
    mean, std = torch.zeros(4, requires_grad=True), torch.ones(4, requires_grad=True)
    action = Normal(mean, std).rsample()
    action.retain_grad()
    loss = -(REWARD * action).sum()
    loss.retain_grad()
    loss.backward()
    noise = action.detach()  # (action - 0) / 1
    assert_close(loss.grad, torch.tensor(1.0))
    assert_close(action.grad, torch.full((4,), -REWARD))  # here a gradient does pass
    assert_close(mean.grad, torch.full((4,), -REWARD))
    assert_close(std.grad, -REWARD * noise)


def test_pathwise_estimator_gives_the_gradient_of_the_notes():
    mean, std = torch.zeros(1, 4, requires_grad=True), torch.ones(1, 4, requires_grad=True)
    q = Independent(Normal(mean, std), 1)
    torch.manual_seed(0)
    (-Pathwise()(q, lambda z, q: REWARD * z.sum(-1), ELBO(1)).bound.sum()).backward()
    torch.manual_seed(0)
    noise = q.sample()
    assert_close(mean.grad, torch.full((1, 4), -REWARD))
    assert_close(std.grad, -REWARD * noise)


# Gumbel and Gaussian reparameterization
# ----------------------------------------------------------------------------------------

PI = torch.tensor([0.75, 0.25])


@pytest.mark.parametrize(
    ("scores", "law"),
    [(PI.log(), PI), (PI, PI.softmax(0))],
    ids=["G + log pi is the law pi", "G + pi, as noted, is the law softmax(pi)"],
)
def test_gumbel_argmax(scores, law, assert_frequencies):
    index = (scores + gumbel_like(scores, Size([20_000, 2]))).argmax(-1)
    assert_frequencies(index, law)


def test_gumbel_argmax_is_how_the_library_draws(assert_frequencies):
    q = OneHotCategorical(probs=PI)
    assert_frequencies(harden(q, perturb(q, Size([20_000]))).argmax(-1), PI)
    assert_frequencies(q.sample(Size([20_000])).argmax(-1), PI)


def test_relaxed_one_hot_categorical_of_the_notes(assert_frequencies):
    dist = RelaxedOneHotCategorical(temperature=10.0, probs=PI)
    sample = dist.sample()
    assert sample.shape == (2,)
    assert_close(sample.sum(), torch.tensor(1.0))
    many = dist.sample(Size([20_000]))
    assert constraints.simplex.check(many).all()
    assert (many - 0.5).abs().mean() < 0.1  # at so high a temperature it is near uniform
    assert_frequencies(many.argmax(-1), PI)  # yet its argmax has the law pi


def test_normal_is_a_standard_one_scaled_and_moved():
    loc, scale = torch.tensor([0.1, 0.2]), torch.tensor([1.0, 2.0])
    torch.manual_seed(1)
    standard = Normal(torch.zeros(2), torch.ones(2)).sample()
    torch.manual_seed(1)
    assert_close(Normal(loc, scale).rsample(), standard * scale + loc)


def test_multivariate_normal_diag_is_an_independent_normal():
    loc, scale = torch.tensor([0.1, 0.2]), torch.tensor([1.0, 2.0])
    posterior = Independent(Normal(loc, scale), 1)
    prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    assert posterior.batch_shape == () and posterior.event_shape == (2,)
    code = posterior.sample()
    full = MultivariateNormal(loc, torch.diag(scale.square()))
    assert_close(posterior.log_prob(code), full.log_prob(code))
    # (scale^2 + loc^2 - 1)/2 - log scale, summed over the two variables
    kl = (1 + 0.01 - 1) / 2 + (4 + 0.04 - 1) / 2 - math.log(2)
    assert_close(kl_divergence(posterior, prior), torch.tensor(kl))


def test_binary_log_prob_clamps_the_probabilities():
    probs = torch.tensor([0.0, 0.3, 1.0])
    ps_clamped = clamp_probs(probs)
    q = Bernoulli(probs=probs)
    assert_close(q.logits, torch.log(ps_clamped) - torch.log1p(-ps_clamped))
    assert q.log_prob(1 - q.mean.round()).isfinite().all()  # even of the impossible
    assert_close(q.log_prob(torch.ones(3)), ps_clamped.log(), atol=1e-5, rtol=1e-5)


# The base class
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dist", "batch_shape", "event_shape", "names"),
    [
        (Normal(torch.zeros(3), torch.ones(3)), (3,), (), {"loc", "scale"}),
        (OneHotCategorical(probs=PI.expand(3, 2)), (3,), (2,), {"probs", "logits"}),
        (
            RelaxedOneHotCategorical(10.0, probs=PI),
            (),
            (2,),
            {"temperature", "probs", "logits"},
        ),
    ],
)
def test_attributes_of_a_distribution(dist, batch_shape, event_shape, names):
    assert isinstance(dist, Distribution)
    assert dist.batch_shape == batch_shape and dist.event_shape == event_shape
    assert dist.arg_constraints.keys() == names
    assert all(isinstance(c, constraints.Constraint) for c in dist.arg_constraints.values())


def test_validate_args_and_cdf():
    with pytest.raises(ValueError, match="scale"):
        Normal(0.0, -1.0, validate_args=True)
    Normal(0.0, -1.0, validate_args=False)
    median = Normal(torch.tensor([0.1, 0.2]), torch.tensor([1.0, 2.0]))
    assert_close(median.cdf(median.loc), torch.full((2,), 0.5))
    with pytest.raises(NotImplementedError):
        OneHotCategorical(probs=PI).cdf(torch.tensor([1.0, 0.0]))
