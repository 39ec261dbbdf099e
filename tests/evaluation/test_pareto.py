"""The tail's shape is that of samples whose shape is known, and of weights whose law is."""

import math

import pytest
import torch
from torch.distributions import Exponential

from vae.evaluation.pareto import fit_pareto, largest_k, pareto_k, tail_length

K, N = 4_000, 200


def pareto(k, *shape):
    """Generalised Pareto samples of scale 1."""
    u = torch.rand(*shape, dtype=torch.float64)
    return -u.log() if k == 0 else torch.expm1(-k * u.log()) / k


@pytest.mark.parametrize("k", [-0.3, 0.0, 0.3, 0.7, 1.5])
def test_the_fit_is_unbiased_and_as_exact_as_the_likelihood_allows(k):
    torch.manual_seed(0)
    M = 200
    found = fit_pareto(pareto(k, M, N).sort(0).values)
    spread = abs(1 + k) / M**0.5  # of the most likely k, in large samples
    assert abs(found.mean() - k) < 0.02 + 4 * spread / N**0.5
    assert spread * 0.8 < found.std() < spread * 1.3


def test_the_fit_is_near_scipys_most_likely_one():
    from scipy.stats import genpareto

    torch.manual_seed(0)
    excess = pareto(0.5, 500, 5).sort(0).values
    ours = fit_pareto(excess)
    for mine, column in zip(ours, excess.T, strict=True):
        theirs, _, _ = genpareto.fit(column.numpy(), floc=0)
        assert abs(mine - theirs) < 0.05  # their spread over samples is 0.07


@pytest.mark.parametrize("k", [0.2, 0.5, 1.0])
def test_weights_with_a_power_law_have_its_shape(k):
    # P(w > t) = t^(-1 / k): log w is exponential with mean k, in any unit of weight
    torch.manual_seed(0)
    log_weights = 500.0 + k * Exponential(torch.ones(N, dtype=torch.float64)).sample((K,))
    M = tail_length(K)
    found = pareto_k(log_weights.topk(M + 1, 0).values)
    expected = (k * M + 5) / (M + 10)  # with ten samples of k = 1/2
    assert abs(found.mean() - expected) < 0.02 + 4 * (1 + k) / (M * N) ** 0.5


def test_bounded_weights_have_a_light_tail_and_equal_ones_none():
    torch.manual_seed(0)
    uniform = torch.rand(K, 1, dtype=torch.float64).log()
    assert pareto_k(uniform.topk(tail_length(K) + 1, 0).values) < -0.5
    assert pareto_k(torch.full((191, 2), -90.0, dtype=torch.float64)).tolist() == [-math.inf] * 2


def test_weights_of_few_values_have_no_shape():
    tied = torch.cat([torch.zeros(20, 1), torch.full((171, 1), -1.0)]).double()
    assert pareto_k(tied).isnan().all()


def test_the_tail_and_the_limit_are_those_of_the_paper():
    assert [tail_length(n) for n in (100, 225, 1_000, 5_000)] == [20, 45, 95, 213]
    assert largest_k(100) == pytest.approx(0.5)
    assert largest_k(2_200) == pytest.approx(0.7, abs=1e-3) and largest_k(10**6) == 0.7
