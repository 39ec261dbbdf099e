"""Chains of conditional distributions: their law, their shapes, and what is asked of a family.

Statistical tests are seeded, at conftest's false-alarm rate.
"""

import math

import pytest
import torch
from torch import Size, nn
from torch.distributions import Bernoulli, Independent, Normal

from vae.certify import binary_chain, gaussian_chain, one_hot_chain
from vae.distributions.chain import Chain, Link
from vae.distributions.operations import (
    configurations,
    describe,
    detach,
    logits_of,
    parameters,
    rebuild,
    select,
    support,
)

PROBLEMS = {"binary": binary_chain(), "one_hot": one_hot_chain(), "gaussian": gaussian_chain()}


def chain(name, batch=3):
    problem = PROBLEMS[name]
    return problem.make_q(*(p.expand(batch, *p.shape) for p in problem.parameters))


class Given(nn.Linear):
    """A layer of binary variables, given the one before."""

    def forward(self, z):
        return Independent(Bernoulli(logits=super().forward(z), validate_args=False), 1)


class GivenNormal(nn.Linear):
    def forward(self, z):
        return Independent(Normal(super().forward(z).tanh(), 0.7), 1)


def three_layers(reverse=False):
    torch.manual_seed(3)
    first = Independent(Bernoulli(logits=torch.randn(4, 2)), 1)
    return Chain(first, [Link(Given(2, 3), 3), Link(Given(3, 1), 1)], reverse)


@pytest.mark.parametrize("name", PROBLEMS)
def test_shapes(name):
    q = chain(name)
    z = q.sample(Size([5, 2]))
    assert z.shape == (5, 2, 3, *q.event_shape) and q.log_prob(z).shape == (5, 2, 3)
    assert q.sample().shape == (3, *q.event_shape)
    assert chain(name, 1).expand(Size([7])).sample().shape == (7, *q.event_shape)


def test_some_of_a_batch():
    q = three_layers()
    some, z = select(q, slice(1, 3)), q.sample()
    assert some.batch_shape == (2,) and some.sample().shape == (2, *q.event_shape)
    torch.testing.assert_close(some.log_prob(z[1:3]), q.log_prob(z)[1:3])


@pytest.mark.parametrize("reverse", [False, True])
def test_the_log_density_is_the_sum_by_hand(reverse):
    q = three_layers(reverse)
    z = q.sample(Size([6]))
    assert q.sizes == ((1, 3, 2) if reverse else (2, 3, 1))
    parts = list(z.split(q.sizes, -1))[:: -1 if reverse else 1]
    by_hand = q.first.log_prob(parts[0])
    for link, below, above in zip(q.links, parts[:-1], parts[1:], strict=True):
        by_hand = by_hand + link.module(below).log_prob(above)
    torch.testing.assert_close(q.log_prob(z), by_hand)
    torch.testing.assert_close(sum(q.log_probs(z)), by_hand)


@pytest.mark.parametrize("q", [chain("binary"), chain("one_hot"), three_layers(True)], ids=str)
def test_the_support_is_all_of_it(q, assert_frequencies):
    z = support(q)
    assert len(z) == configurations(q) and len(z.unique(dim=0)) == len(z)
    torch.testing.assert_close(q.log_prob(z).exp().sum(0), torch.ones_like(q.log_prob(z)[0]))
    torch.testing.assert_close(support(q, 2, 5), z[2:5])
    drawn = q.sample(Size([20_000]))[:, 0].flatten(1)
    index = (drawn[:, None] == z[:, 0].flatten(1)).all(-1).int().argmax(1)
    assert_frequencies(index, q.log_prob(z)[:, 0].exp())


def test_a_gaussian_chain_integrates_to_one():
    q = chain("gaussian", 1)
    grid = torch.linspace(-15, 15, 900, dtype=torch.float64)
    z = torch.cartesian_prod(grid, grid)[:, None]
    assert math.isclose(q.log_prob(z).exp().sum() * (grid[1] - grid[0]) ** 2, 1, rel_tol=1e-6)
    assert q.has_rsample and q.rsample().requires_grad is False


def test_detach_stops_all_parameters_and_keeps_the_path():
    link = Link(GivenNormal(2, 2), 2, has_rsample=True)
    loc = torch.zeros(5, 2, requires_grad=True)
    q = Chain(Independent(Normal(loc, 1.0), 1), [link])
    z = q.rsample()
    path = detach(q).log_prob(z).sum()  # through z, which depends on both
    frozen = detach(q).log_prob(z.detach())
    assert not frozen.requires_grad
    torch.testing.assert_close(frozen, q.log_prob(z))
    of_loc, of_weight = torch.autograd.grad(path, [loc, link.module.weight])
    assert of_loc.abs().sum() > 0 and of_weight.abs().sum() > 0
    # log q(z_2 | z_1) depends on z_1 too: that path is kept
    leaf = z.detach().requires_grad_()
    (slope,) = torch.autograd.grad(detach(q).log_probs(leaf)[1].sum(), leaf)
    assert slope[:, :2].abs().sum() > 0


def test_all_parameters_have_names_and_can_be_replaced():
    q = three_layers()
    named = parameters(q)
    assert set(named) == {"1.logits", "2.weight", "2.bias", "3.weight", "3.bias"}
    z = q.sample()
    again = rebuild(q, **{"3.bias": named["3.bias"] + 1})
    assert not torch.equal(again.log_probs(z)[2], q.log_probs(z)[2])
    torch.testing.assert_close(again.log_probs(z)[:2], q.log_probs(z)[:2])
    with pytest.raises(NotImplementedError, match="has no logits"):  # of one layer they would be
        logits_of(q)


def test_a_chain_says_what_it_is_and_what_it_cannot():
    q = three_layers()
    assert describe(q) == "Chain(Independent(Bernoulli, 1), 3 layers)"
    with pytest.raises(NotImplementedError, match="has no rsample"):
        q.rsample()
    with pytest.raises(NotImplementedError, match="no finite support"):
        support(chain("gaussian"))
    with pytest.raises(ValueError, match="a vector of variables, not Normal"):
        Chain(Normal(0.0, 1.0), [])
    with pytest.raises(NotImplementedError):
        _ = q.mean
