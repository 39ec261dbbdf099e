"""Sticks that are broken together: the law of each sample, the law of pairs, and their weight.

Statistical tests are seeded, at a false-alarm rate of 1e-6 each.
"""

import pytest
import torch
from torch import Size

from vae.estimators.antithetic import antithetic_bits
from vae.estimators.arms import dirichlet_copula
from vae.estimators.carms import sticks

LOGITS = {
    "plain": [0.3, -1.0, 0.9, -0.2],
    "alike": [0.0, 0.0, 0.0],
    "one likely": [4.0, 0.0, -1.0],
    "two": [0.7, -0.7],
    "impossible": [0.0, -torch.inf, 1.0],
}
N = 100_000


def pairs(logits, K):
    """Vertices of N sets of K samples, (K, N, C); the weight of the first two, (N,).

    K = 0 is for an antithetic pair.
    """
    questions = sticks(logits.expand(N, 1, -1))
    if K == 0:
        *bits, _ = antithetic_bits(questions.logits, Size([1]))
        bits, apart = torch.cat(bits), (-questions.logits).sigmoid()
    else:
        bits, apart = dirichlet_copula(questions.logits, K)
    place = questions.place(bits)
    weight = questions.weight(apart, torch.minimum(place[0], place[1]))
    return questions.vertex(place, logits)[:, :, 0], weight[:, 0]


@pytest.mark.parametrize("K", [0, 2, 3, 5])
@pytest.mark.parametrize("name", LOGITS)
def test_each_sample_has_the_law_of_q_and_each_pair_its_weight(name, K, assert_mean):
    logits = torch.tensor(LOGITS[name], dtype=torch.float64)
    z, weight = pairs(logits, K)
    p = logits.softmax(-1)
    for sample in z:
        assert_mean(sample, p)
    # weighed, what differs is as frequent as if independent
    together = z[0][:, :, None] * z[1][:, None] * weight[:, None, None]  # (N, C, C)
    different = ~torch.eye(len(p), dtype=torch.bool)
    assert_mean(together[:, different], torch.outer(p, p)[different])
    # and two are alike less often than independent ones, where they can be
    assert p.max() > 0.9 or (z[0] * z[1]).sum(-1).mean() < p.square().sum() - 0.05


@pytest.mark.parametrize("C", [2, 3, 10, 300])
def test_antithetic_pairs_have_weights_below_two(C):
    logits = torch.cat([torch.zeros(1, 1, C), 3 * torch.randn(2000 // C + 1, 1, C)]).double()
    questions = sticks(logits)
    assert (questions.logits.sigmoid() <= 1 / torch.arange(C, 1, -1).double() + 1e-12).all()
    first = torch.arange(C - 1).view(-1, 1, 1).expand(-1, *logits.shape[:2])
    weight = questions.weight((-questions.logits).sigmoid(), first)
    assert weight.isfinite().all() and 0.5 - 1e-12 <= weight.min() and weight.max() < 2
