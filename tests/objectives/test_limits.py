"""Objectives against each other where they meet, and against log p(x) where it is a sum."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from vae.certify.problems import bernoulli_problem
from vae.distributions.operations import support
from vae.estimators import Enumerate
from vae.objectives import CIWAE, CUBO, ELBO, IWAE, MIWAE, TVO, Objective, Renyi, VRMax

PROBLEM = bernoulli_problem(2)


def mean_of(objective: Objective) -> float:
    """E[R_K] on a problem of four configurations, exactly."""
    q = PROBLEM.make_q(*(p[None] for p in PROBLEM.parameters))
    return Enumerate()(q, PROBLEM.f, objective).bound.item()


def spread() -> tuple[Tensor, Tensor, float]:
    """q and f at all configurations, and the logarithm of the normaliser."""
    q = PROBLEM.make_q(*(p[None] for p in PROBLEM.parameters))
    z = support(q)
    log_normaliser = PROBLEM.log_target(z).logsumexp(0).item()
    return q.log_prob(z)[:, 0], PROBLEM.f(z, q)[:, 0].detach(), log_normaliser


@pytest.mark.parametrize("K", [1, 4])
def test_where_they_meet(K):
    f = torch.randn(K, 7, dtype=torch.float64)
    elbo, iwae = ELBO(K).reduce(f), IWAE(K).reduce(f)
    for same_as_elbo in (Renyi(K, 1), MIWAE(K, K), CIWAE(K, 1), TVO(K, 1)):
        assert_close(same_as_elbo.reduce(f), elbo)
        assert_close(same_as_elbo.weights(f), ELBO(K).weights(f))
    for same_as_iwae in (Renyi(K, 0), MIWAE(K, 1), CIWAE(K, 0)):
        assert_close(same_as_iwae.reduce(f), iwae)
        assert_close(same_as_iwae.weights(f), IWAE(K).weights(f))
    assert_close(Renyi(K, 1 - 1e-6).reduce(f), elbo, atol=1e-5, rtol=0)  # no jump at 1
    assert_close(CUBO(max(2, K), 3).reduce(f), -Renyi(K, -2).reduce(f))
    assert_close(Renyi(K, -1e4).reduce(f), VRMax(K).reduce(f), atol=2e-4, rtol=0)
    assert_close(TVO(K, 4000, 1e-4).reduce(f), iwae, atol=2e-3, rtol=0)


def test_of_the_same_samples_they_are_in_order():
    f = 5 * torch.randn(6, 500, dtype=torch.float64)
    elbo, iwae, largest = ELBO(6).reduce(f), IWAE(6).reduce(f), VRMax(6).reduce(f)
    rising = [Renyi(6, a).reduce(f) for a in (3, 1, 0.5, 0, -1, -20)] + [largest]
    for low, high in zip(rising, rising[1:], strict=False):
        assert (low <= high + 1e-9).all()
    for between in (MIWAE(6, 2), CIWAE(6, 0.5), TVO(6, 3, 0.1), TVO(6, 10)):
        assert (elbo <= between.reduce(f) + 1e-9).all()
        assert (between.reduce(f) <= iwae + 1e-9).all()
    assert (TVO(6, 3, riemann="right").reduce(f) >= iwae - 1e-9).all()


def test_what_is_called_a_lower_bound_is_one_in_the_mean():
    truth = spread()[2]
    every = [ELBO(2), IWAE(3), MIWAE(4, 2), CIWAE(3, 0.3), TVO(3), TVO(3, riemann="right")]
    every += [Renyi(K, a) for K in (2, 3) for a in (2.0, 0.5, -3.0)] + [VRMax(4), VRMax(2)]
    above = []
    for objective in every:
        value = mean_of(objective)
        if objective.bounds.startswith("a lower bound of log p(x)"):
            assert value <= truth, objective
        elif value > truth:
            above.append(type(objective))
    assert VRMax in above and Renyi in above  # so the others are rightly called none


def test_the_limits_of_many_samples_are_the_papers_bounds():
    """From all samples: exact weights in the place of K draws."""
    log_q, f, truth = spread()
    elbo = (log_q.exp() * f).sum().item()

    def power(p: float) -> float:
        return ((log_q + p * f).logsumexp(0) / p).item()

    def thermodynamic(points: list[float], left: bool) -> float:
        total = 0.0
        for low, high in zip(points, points[1:], strict=False):
            w = (log_q + (low if left else high) * f).softmax(0)
            total += (high - low) * (w * f).sum().item()
        return total

    # Dieng et al.: the chi bound is above log p(x), and grows with its order
    assert truth < power(1.5) < power(2) < power(3)
    assert elbo < power(0.5) < truth  # Li & Turner, alpha = 1/2
    points = [0.0, *TVO(1, 5, 0.1).points[1:].tolist(), 1.0]
    # Masrani et al.: between the ELBO and log p(x), and above it
    assert elbo < thermodynamic(points, True) < truth < thermodynamic(points, False)
    # and what the K-sample estimates go to: the mean of many draws
    torch.manual_seed(0)
    draws = f[torch.distributions.Categorical(logits=log_q).sample((20_000, 20))]  # (K, n)
    for objective, limit in {
        CUBO(20_000): -power(2),
        Renyi(20_000, 0.5): power(0.5),
        TVO(20_000, 5, 0.1): thermodynamic(points, True),
        TVO(20_000, 5, 0.1, "right"): thermodynamic(points, False),
    }.items():
        found = objective.reduce(draws)
        assert abs(found.mean() - limit) < 5.5 * found.std() / math.sqrt(20) + 1e-4


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: MIWAE(5, 2), "groups must divide num_samples"),
        (lambda: CIWAE(3, 1.5), "beta of CIWAE"),
        (lambda: Renyi(3, math.inf), "alpha must be finite"),
        (lambda: CUBO(3, 1.0), "order of CUBO"),
        (lambda: CUBO(1), "CUBO of one sample is the ELBO"),
        (lambda: TVO(3, 0), "partitions must be at least 1"),
        (lambda: TVO(3, 3, 1.0), "beta_min must be between 0 and 1"),
        (lambda: TVO(3, riemann="middle"), "riemann must be left or right"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
