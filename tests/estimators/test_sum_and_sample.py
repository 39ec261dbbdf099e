"""What is listed, and what is drawn outside the list, without listing the support.

Statistical tests are seeded, at a false-alarm rate of 1e-6 each.
"""

import pytest
import torch
from torch.distributions import Bernoulli, Independent
from torch.testing import assert_close

from vae.certify.exact import exact_gradient, gradients
from vae.certify.problems import PROBLEMS
from vae.estimators import named
from vae.estimators.sum_and_sample import SumAndSample, draw_outside, most_probable
from vae.objectives import ELBO


def law(log_p):
    """All joint configurations, (S, D), and their log-probabilities, (S, B)."""
    B, D, C = log_p.shape
    every = torch.cartesian_prod(*[torch.arange(C)] * D).view(-1, D)
    return every, sum(log_p[:, d, every[:, d]] for d in range(D)).T


def random_log_p(B, D, C, scale=1.5):
    return (scale * torch.randn(B, D, C, dtype=torch.float64)).log_softmax(-1)


@pytest.mark.parametrize("D, C, T", [(1, 7, 4), (5, 2, 1), (5, 2, 31), (6, 3, 20), (4, 2, 9)])
def test_the_most_probable_are_found(D, C, T):
    log_p = random_log_p(8, D, C)
    every, joint = law(log_p)
    expected, index = joint.topk(T, 0)
    found = most_probable(log_p, T)  # (T, B, D)
    score = log_p[:, None].expand(-1, T, -1, -1).gather(-1, found.movedim(0, 1)[..., None])
    assert_close(score.squeeze(-1).sum(-1).T, expected)
    assert torch.equal(found, every[index])  # no ties here


@pytest.mark.parametrize("D, C, T", [(1, 5, 2), (4, 2, 1), (4, 2, 7), (3, 3, 6)])
def test_what_is_drawn_is_the_rest_in_proportion(D, C, T, assert_frequencies):
    n, log_p = 20_000, random_log_p(1, D, C, 0.7)
    every, joint = law(log_p)
    listed = most_probable(log_p, T)
    drawn, log_rest = draw_outside(log_p, listed, n)
    number = (drawn[:, 0] * C ** torch.arange(D - 1, -1, -1)).sum(-1)
    rest = joint[:, 0].exp().clone()
    rest[joint[:, 0].topk(T).indices] = 0
    assert_close(log_rest[0].exp(), rest.sum())
    assert_frequencies(number, rest / rest.sum())  # cells of probability 0 stay empty


def test_nothing_cancels_where_almost_all_is_listed():
    log_p = torch.tensor([[[0.0, -20.0], [0.0, -30.0], [0.0, -40.0]]]).log_softmax(-1)  # float32
    drawn, log_rest = draw_outside(log_p, most_probable(log_p, 1), 1000)
    assert_close(log_rest.item(), -20.0, atol=1e-3, rtol=0)
    assert (drawn[:, 0] == torch.tensor([1, 0, 0])).float().mean() > 0.99


@pytest.mark.parametrize("family, S", [("bernoulli", 8), ("one_hot", 9)])
def test_it_is_exact_where_one_configuration_is_left(family, S):
    grads, bound = gradients(SumAndSample(S - 1), PROBLEMS[family], ELBO(1), 50)
    exact, value = exact_gradient(PROBLEMS[family], ELBO(1))
    assert_close(grads, exact.expand_as(grads))
    assert_close(bound, value.expand_as(bound))


def test_many_variables_are_no_obstacle():
    logits = torch.randn(3, 300, requires_grad=True)
    q = Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)
    bound = named("sum_and_sample")(q, lambda z, q: z.sum(-1), ELBO(2)).bound
    (grad,) = torch.autograd.grad(bound.sum(), logits)
    assert grad.isfinite().all() and grad.abs().sum() > 0


def test_a_sum_over_everything_is_refused():
    with pytest.raises(ValueError, match="leaves nothing to sample: .* has 8 configurations, and"):
        gradients(SumAndSample(8), PROBLEMS["bernoulli"], ELBO(2), 2)
    for summed, words in ((0, "at least 1"), (101, "at most 100")):
        with pytest.raises(ValueError, match=f"sum_and_sample: summed must be {words}"):
            named("sum_and_sample", {"summed": summed})
