"""k-subsets, conditional Bernoulli and Plackett-Luce, against sums over all sets and all orders.

Samples by chi-square tests, seeded, at ``conftest.FALSE_ALARM_RATE``. The rest is exact.
"""

import itertools
import math

import pytest
import torch
from torch import Size
from torch.distributions import Independent, kl_divergence
from torch.testing import assert_close

from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.distributions.kinds import kind_of
from vae.distributions.operations import (
    configurations,
    describe,
    detach,
    differentiable,
    rebuild,
    select,
    sizes,
    support,
)
from vae.distributions.plackett_luce import PlackettLuceSubset
from vae.distributions.subsets import KHot, Subset, listed, top
from vae.evaluation.densities import FAMILIES, log_densities
from vae.evaluation.usage import category_probs

KINDS = [ConditionalBernoulli, PlackettLuceSubset]
SIZES = [(4, 2), (5, 1), (6, 4), (3, 3)]


def logits(n, batch=3):
    generator = torch.Generator().manual_seed(n)
    return 2 * torch.randn(batch, n, generator=generator, dtype=torch.float64)


def sets(n, k):
    """All of them by hand: (S, n)."""
    chosen = itertools.combinations(range(n), k)
    return torch.tensor([[float(i in c) for i in range(n)] for c in chosen]).double()


def probabilities(family, l, k):
    """By sums over all sets, or over all orders, (S, B)."""
    w, values = l.softmax(-1), sets(l.shape[-1], k)
    if family is ConditionalBernoulli:
        weights = torch.stack([w[:, z > 0].prod(-1) for z in values])
        return weights / weights.sum(0)
    rows = []
    for z in values:
        total = 0
        for order in itertools.permutations(z.nonzero().flatten().tolist()):
            p = torch.ones(len(l)).double()
            for i, item in enumerate(order):
                later = [j for j in range(l.shape[-1]) if j not in order[:i]]
                p = p * w[:, item] / w[:, later].sum(-1)
            total = total + p
        rows.append(total)
    return torch.stack(rows)


@pytest.fixture(params=KINDS, ids=lambda family: family.__name__)
def family(request):
    return request.param


@pytest.mark.parametrize("n, k", SIZES)
def test_probabilities_are_those_of_all_sets_and_orders(family, n, k):
    q, p = family(k, logits(n)), probabilities(family, logits(n), k)
    values = support(q)
    assert torch.equal(values, sets(n, k)[:, None].expand(-1, 3, -1))
    assert_close(q.log_prob(values).exp(), p, rtol=1e-12, atol=1e-14)
    assert_close(q.mean, (p[..., None] * sets(n, k)[:, None]).sum(0), rtol=1e-12, atol=1e-14)
    assert_close(q.variance, q.mean * (1 - q.mean))
    assert_close(q.entropy(), -torch.special.xlogy(p, p).sum(0), rtol=1e-10, atol=1e-12)
    assert torch.equal(q.mode, sets(n, k)[p.argmax(0)])
    assert q.log_prob(values[:, :1]).shape == (len(values), 3)


@pytest.mark.parametrize("n, k", SIZES)
def test_the_kl_is_a_sum_over_all_sets(family, n, k):
    a, b = logits(n), logits(n).flip(0) * 0.7
    p, r = probabilities(family, a, k), probabilities(family, b, k)
    found = kl_divergence(family(k, a), family(k, b))
    assert_close(found, (p * (p.log() - r.log())).sum(0), rtol=1e-10, atol=1e-12)
    other = kl_divergence(PlackettLuceSubset(k, a), ConditionalBernoulli(k, b))
    p, r = probabilities(PlackettLuceSubset, a, k), probabilities(ConditionalBernoulli, b, k)
    assert_close(other, (p * (p.log() - r.log())).sum(0), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n, k", SIZES[:3])
def test_samples_have_these_frequencies(family, n, k, assert_frequencies):
    l = logits(n) / 2
    torch.manual_seed(0)
    z = family(k, l).sample(Size([20_000]))
    assert z.shape == (20_000, 3, n) and (z.sum(-1) == k).all()
    index = (z.unsqueeze(2) == sets(n, k)).all(-1).int().argmax(-1)
    for b in range(3):
        assert_frequencies(index[:, b], probabilities(family, l, k)[:, b])


def test_gradients_are_those_of_finite_differences(family):
    z = sets(5, 2)[[1, 7]]

    def values(l):
        q = family(2, l)
        return q.log_prob(z), q.mean, q.entropy(), kl_divergence(q, family(2, l.flip(0)))

    l = logits(5, 2).requires_grad_()
    assert torch.autograd.gradcheck(values, [l])


def test_marginals_are_the_derivative_of_the_normaliser():
    l = logits(7).requires_grad_()
    q = ConditionalBernoulli(3, l)
    (slope,) = torch.autograd.grad(q.log_normalizer.sum(), l)
    shift = l.amax(-1, keepdim=True)  # what all logits share is left out
    assert_close(slope, q.mean)
    assert_close(q.log_normalizer + 3 * shift.squeeze(-1), _log_e3(l))


def _log_e3(l):
    return torch.stack([l[:, z > 0].sum(-1) for z in sets(l.shape[-1], 3)]).logsumexp(0)


def test_a_shift_of_all_logits_changes_nothing(family):
    a, b = family(2, logits(5)), family(2, logits(5) + 7)
    assert_close(a.log_prob(support(a)), b.log_prob(support(b)))


@pytest.mark.parametrize("scale", [30.0, 100.0])
def test_single_precision_keeps_its_digits(family, scale):
    """Of differences of logits a hundred nats apart, six digits of a hundred are left."""
    l = scale * logits(9) / 2
    wide, narrow = family(4, l), family(4, l.float())
    z = support(wide)
    assert_close(narrow.log_prob(z.float()).double(), wide.log_prob(z), rtol=1e-5, atol=1e-4)
    assert_close(narrow.sample().sum(-1), torch.full((3,), 4.0))
    if family is ConditionalBernoulli:
        assert_close(narrow.mean.double(), wide.mean, rtol=1e-3, atol=1e-5)


def test_many_items_are_no_matter():
    l = logits(300, 2).float().requires_grad_()
    q = ConditionalBernoulli(100, l)
    assert_close(q.mean.sum(-1), torch.full((2,), 100.0), rtol=1e-4, atol=0)
    z = q.sample(Size([5]))
    assert (z.sum(-1) == 100).all()
    (q.log_prob(z).sum() + q.entropy().sum()).backward()
    assert l.grad.isfinite().all()


def test_an_item_that_cannot_be_drawn_is_in_no_set(family):
    l = torch.tensor([[-math.inf, 0.3, -0.9, 0.4]]).double().requires_grad_()
    q, rest = family(2, l), family(2, l[:, 1:].detach())
    z = q.sample(Size([500]))
    assert not z[..., 0].any() and q.mean[0, 0] == 0
    assert_close(q.mean[:, 1:], rest.mean)
    assert_close(q.entropy(), rest.entropy())
    values = (q.mean * torch.arange(4)).sum() + q.log_prob(z).sum() + q.entropy().sum()
    (slope,) = torch.autograd.grad(values, l)
    assert slope.isfinite().all() and slope[0, 0] == 0 and slope.abs().max() > 0.1


def test_what_estimators_ask_of_it(family):
    l = logits(5).requires_grad_()
    q = family(2, l)
    assert configurations(q) == 10 and sizes(q) == (1, 10) and kind_of(q) == "k-subset"
    assert describe(q) == family.__name__ and differentiable(q) == (family is KINDS[0])
    assert not detach(q).logits.requires_grad
    z = support(q)
    for same in (detach(q), rebuild(q, logits=l + 1), select(q.expand([3]), slice(0, 3))):
        assert type(same) is family and same.k == 2
        assert_close(same.log_prob(z), q.log_prob(z))
    assert select(q, slice(1, 2)).batch_shape == (1,)
    assert q.expand([4, 3]).sample().shape == (4, 3, 5)
    assert torch.equal(support(q, 3, 8), z[3:8])
    assert isinstance(q, Subset) and q.support == KHot(2) != KHot(3)
    assert q.support.check(z).all() and not q.support.check(z[:, :, :1].expand_as(z)).any()
    with pytest.raises(ValueError, match="within the support"):
        family(2, l, validate_args=True).log_prob(torch.ones(5).double())
    assert_close(category_probs(q)[..., 1], q.mean)  # of each item: out of the set, or in it


def test_independent_subsets_are_listed_jointly(family):
    q = Independent(family(2, logits(4, 6).view(3, 2, 4)), 1)
    assert configurations(q) == 36 and support(q).shape == (36, 3, 2, 4)
    assert_close(q.log_prob(support(q)).exp().sum(0), torch.ones(3).double())


def test_subsets_are_numbered_in_the_order_of_a_dictionary():
    like = torch.zeros(()).double()
    assert torch.equal(listed(9, 4, like, 50, 80), sets(9, 4)[50:80])
    late = listed(60, 30, like, math.comb(60, 30) // 2, math.comb(60, 30) // 2 + 2)
    assert (late.sum(-1) == 30).all() and not late[:, 0].any()  # half of them begin with item 0
    with pytest.raises(ValueError, match=r"118,264,581,564,861,424 subsets of 30 of 60"):
        support(ConditionalBernoulli(30, logits(60)))


def test_all_pairs_at_once_are_one_product():
    q = ConditionalBernoulli(2, logits(5, 7).float())
    z = q.sample().double()
    assert type(q) in FAMILIES
    assert_close(log_densities(q)(z), q.log_prob(z[:, None]).double(), rtol=1e-5, atol=1e-5)


def test_the_largest_scores_are_on_top():
    assert top(torch.tensor([3.0, -1.0, 2.0, 0.0]), 2).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConditionalBernoulli(0, logits(4)), "k must be from 1 to 4, the items, got 0"),
        (lambda: PlackettLuceSubset(5, logits(4)), "k must be from 1 to 4, the items, got 5"),
        (
            lambda: PlackettLuceSubset(11, logits(20)),
            "k must be at most 10, got 11; a conditional",
        ),
        (
            lambda: kl_divergence(
                ConditionalBernoulli(1, logits(4)), ConditionalBernoulli(2, logits(4))
            ),
            "subsets of 1 and of 2 items have nothing in common",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_too_many_sets_have_no_closed_form():
    q = PlackettLuceSubset(8, logits(50))
    with pytest.raises(NotImplementedError, match="analytic_kl: false"):
        kl_divergence(q, q)
    assert category_probs(q) is None
    assert q.log_prob(q.sample(Size([2]))).shape == (2, 3)
