"""Defensive wake-wake: what it estimates, by enumeration of the mixture; a mode that q has lost.

Statistical tests are seeded, at a false-alarm rate of 1e-6 each.
"""

import math

import pytest
import torch

from vae.certify.exact import gradients
from vae.certify.problems import PROBLEMS
from vae.distributions.operations import support
from vae.estimators import named
from vae.objectives import IWAE


def expected(problem, delta, K):
    """E[sum_k v_k grad log q(z_k)] and E[R] over all K-tuples of the mixture."""
    logits = problem.parameters[0][None].clone().requires_grad_()
    q = problem.make_q(logits)
    z = support(q)  # (S, 1, *event)
    log_q = q.log_prob(z)[:, 0]
    mixture = (1 - delta) * log_q.detach().exp() + delta / len(z)
    log_w = problem.log_target(z)[:, 0] - mixture.log()
    tuples = torch.cartesian_prod(*[torch.arange(len(z))] * K).T  # (K, S^K)
    probability = mixture.log()[tuples].sum(0).exp()
    scores = (log_w[tuples].softmax(0) * log_q[tuples]).sum(0)
    (grad,) = torch.autograd.grad((probability * scores).sum(), logits)
    bound = (probability * (log_w[tuples].logsumexp(0) - math.log(K))).sum()
    return grad.flatten(), bound


@pytest.mark.parametrize("delta", [0.2, 0.7])
@pytest.mark.parametrize("family", ["bernoulli", "one_hot"])
def test_the_estimate_is_the_one_of_the_mixture(family, delta, assert_mean):
    estimator = named("defensive_wake_wake", {"delta": delta})
    grads, bound = gradients(estimator, PROBLEMS[family], IWAE(3), 20_000)
    gradient, value = expected(PROBLEMS[family], delta, 3)
    assert_mean(grads, gradient)
    assert_mean(bound, value)
    assert (gradient - expected(PROBLEMS[family], 1e-9, 3)[0]).norm() > 0.02


def test_a_mode_that_q_has_lost_is_found():
    problem = PROBLEMS["one_hot"]
    lost = torch.zeros_like(problem.parameters[0])
    lost[:, 2] = -30.0  # where the posterior has all its mass
    problem = problem._replace(
        parameters=[lost],
        f=lambda z, q: 20 * z[..., 2].prod(-1) - q.log_prob(z),
    )
    plain, defended = (
        gradients(named(n), problem, IWAE(5), 2_000)[0].mean(0).reshape(2, 3)
        for n in ("wake_sleep", "defensive_wake_wake")
    )
    assert plain[:, 2].abs().max() < 1e-6 and defended[:, 2].min() > 0.05


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, math.nan])
def test_the_share_is_between_none_and_all(delta):
    with pytest.raises(ValueError, match="defensive_wake_wake: delta must be in .0, 1."):
        named("defensive_wake_wake", {"delta": delta})
