"""Hard and soft samples of the same noise: consistent with each other, each with its own law."""

from __future__ import annotations

import pytest
import torch
from torch import Size
from torch import distributions as D
from torch.distributions import Bernoulli, Independent, Normal
from torch.testing import assert_close

from vae.distributions.concrete import ExpRelaxedOneHotCategorical, RelaxedOneHotCategorical
from vae.distributions.couplings import (
    condition,
    differential,
    harden,
    perturb,
    perturb_given,
    soft_differential,
    soften,
    with_margin,
)
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import support

LOGITS = torch.tensor([[0.3, -1.2, 0.8], [2.0, 0.0, -0.5]], dtype=torch.float64)
FAMILIES = {
    "OneHotCategorical": OneHotCategorical(logits=LOGITS),
    "Bernoulli": Bernoulli(logits=LOGITS),
    "Independent OneHotCategorical": Independent(OneHotCategorical(logits=LOGITS), 1),
    "Independent Bernoulli": Independent(Bernoulli(logits=LOGITS), 1),
}
TEMPERATURES = [0.05, 0.5, 1.0, 3.0]


@pytest.fixture(params=FAMILIES)
def q(request):
    return FAMILIES[request.param]


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_soft_sample_hardens_to_the_hard_one(q, temperature):
    noisy = perturb(q, Size([1000]))
    hard, soft = harden(q, noisy), soften(q, noisy, temperature)
    assert hard.shape == soft.shape == noisy.shape == (1000, *q.batch_shape, *q.event_shape)
    assert q.support.check(hard).all()
    if isinstance(getattr(q, "base_dist", q), Bernoulli):
        assert_close((soft > 0.5).to(hard.dtype), hard)
        assert ((soft >= 0) & (soft <= 1)).all()
    else:
        assert_close(soft.argmax(-1), hard.argmax(-1))
        assert D.constraints.simplex.check(soft).all()


def test_soften_tends_to_harden_as_the_temperature_falls(q):
    noisy = perturb(q, Size([1000]))
    assert_close(soften(q, noisy, 1e-9), harden(q, noisy), atol=1e-6, rtol=0)


def test_hard_samples_have_the_law_of_q(q, assert_frequencies):
    joint = q if isinstance(q, Independent) else Independent(q, len(q.batch_shape))
    states = support(joint)  # (S, *batch, *event)
    flat = states.flatten(1 + len(joint.batch_shape))  # (S, *batch, D)
    z = harden(q, perturb(q, Size([20_000]))).reshape(20_000, *flat.shape[1:])
    index = (z[:, None] == flat).all(-1).long().argmax(1).reshape(20_000, -1)
    probs = joint.log_prob(states).exp().reshape(len(states), -1)
    for i, p in zip(index.T, probs.T, strict=True):
        assert_frequencies(i, p)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_soft_samples_have_the_law_of_the_relaxed_family(temperature, assert_mean):
    n = 50_000
    q = OneHotCategorical(logits=LOGITS)
    ours = soften(q, perturb(q, Size([n])), temperature).log()
    theirs = ExpRelaxedOneHotCategorical(temperature, logits=LOGITS).sample(Size([n]))
    assert_mean(ours - theirs, 0.0)
    assert_mean(ours.square() - theirs.square(), 0.0)
    # the score of the relaxed density has mean zero under its own samples only
    logits = LOGITS.expand(n, -1, -1).clone().requires_grad_()
    relaxed = RelaxedOneHotCategorical(temperature, logits=logits, validate_args=False)
    (score,) = torch.autograd.grad(relaxed.log_prob(ours.exp()).sum(), logits)
    assert_mean(score, 0.0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_soft_binary_samples_have_the_law_of_the_relaxed_family(temperature, assert_frequencies):
    q = Bernoulli(logits=LOGITS)
    soft = soften(q, perturb(q, Size([20_000])), temperature)
    # torch's RelaxedBernoulli by its cdf: the scaled log-odds are logistic about the logits
    u = (temperature * soft.logit() - LOGITS).sigmoid().flatten(1)
    for column in u.T:
        assert_frequencies((20 * column).long().clamp_max(19), torch.full((20,), 1 / 20))


def test_gradient_of_perturb_and_soften_with_frozen_noise(q):
    noise = perturb(q, Size([3])).detach() - LOGITS.log_softmax(-1)

    def soft(logits):
        return soften(q, logits.log_softmax(-1) + noise, 0.7)

    assert torch.autograd.gradcheck(soft, LOGITS.clone().requires_grad_())


@pytest.mark.parametrize("family", [OneHotCategorical, Bernoulli])
def test_the_gradient_of_perturbed_logits_is_that_of_the_logits(family):
    logits = LOGITS.clone().requires_grad_()
    q = family(logits=logits)
    weights = torch.randn(5, *LOGITS.shape, dtype=torch.float64)
    grads = [
        torch.autograd.grad((weights * value).sum(), logits, retain_graph=True)[0]
        for value in (perturb(q, Size([5])), q.logits.expand(5, -1, -1))
    ]
    assert_close(*grads)
    assert not harden(q, perturb(q, Size([5]))).requires_grad


def test_noise_is_drawn_in_single_precision_for_half_precision_logits():
    for family in (OneHotCategorical, Bernoulli):
        q = family(logits=LOGITS.bfloat16(), validate_args=False)
        assert perturb(q, Size([3])).dtype == torch.float32


@pytest.mark.parametrize(
    ("q", "name"),
    [
        (Normal(torch.zeros(3), torch.ones(3)), "Normal"),
        (Independent(Normal(torch.zeros(3), torch.ones(3)), 1), "Normal"),
        (ExpRelaxedOneHotCategorical(0.5, logits=LOGITS), "ExpRelaxedOneHotCategorical"),
        (D.OneHotCategorical(logits=LOGITS), "OneHotCategorical"),  # torch's: not linear in z
    ],
)
def test_other_families_are_refused_by_name(q, name):
    noisy = torch.zeros(3)
    for call in (
        lambda: perturb(q, Size([2])),
        lambda: soften(q, noisy, 1.0),
        lambda: harden(q, noisy),
        lambda: perturb_given(q, noisy),
        lambda: condition(q, noisy),
        lambda: soft_differential(q, noisy),
        lambda: with_margin(q, noisy, 1.0),
    ):
        with pytest.raises(NotImplementedError, match=name):
            call()


# Given the hard sample -------------------------------------------------------------------------

EXTREME = torch.tensor([[-300.0, 0.0, 300.0], [1e4, 1e4, -1e4], [20.0, -20.0, 0.0]])


def test_conditional_noise_hardens_to_the_given_sample(q):
    z = harden(q, perturb(q, Size([1000])))
    noisy = perturb_given(q, z, Size([50]))
    assert noisy.shape == (50, *z.shape)
    assert (harden(q, noisy) == z).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("family", [OneHotCategorical, Bernoulli])
def test_it_does_so_for_every_sample_at_extreme_logits(family, dtype):
    # samples of next to no probability too: there the other categories press on the largest
    logits = EXTREME.to(dtype).requires_grad_()
    q = family(logits=logits, validate_args=False)
    vertices = torch.eye(3, dtype=dtype) if family is OneHotCategorical else torch.eye(2)[:, :1]
    z = vertices[:, None].expand(-1, *EXTREME.shape)  # (C, 3, 3)
    noisy = perturb_given(q, z, Size([20_000]))
    assert noisy.isfinite().all() and (harden(q, noisy) == z).all()
    (grad,) = torch.autograd.grad(noisy.sum(), logits)
    assert grad.isfinite().all()


def test_hard_then_conditional_has_the_law_of_perturbed_logits(q, assert_mean, assert_frequencies):
    n = 50_000
    free = perturb(q, Size([n]))
    given = perturb_given(q, harden(q, perturb(q, Size([n]))))
    # moments, among them those with the discrete sample
    for moment in (
        lambda s: s,
        lambda s: s.square(),
        lambda s: s * harden(q, s),
        lambda s: s * s.roll(1, -1),
        lambda s: soften(q, s, 0.3),
        lambda s: soften(q, s, 0.3) * harden(q, s).roll(1, -1),
    ):
        assert_mean(moment(free) - moment(given), 0.0)
    # the law itself: twenty cells of equal probability for each coordinate
    u = (given - LOGITS.log_softmax(-1)).neg().exp().neg().exp()  # Gumbel
    if isinstance(getattr(q, "base_dist", q), Bernoulli):
        u = (given - LOGITS).sigmoid()  # logistic
    for column in u.flatten(1).T:
        assert_frequencies((20 * column).long().clamp_max(19), torch.full((20,), 1 / 20).double())


def test_the_gradient_of_conditional_noise_is_that_of_its_law(q, assert_mean):
    # d/dl E[phi(s) | z], by the path of s and by the score of p(s | z) = p(s) / q(z)
    n = 50_000
    flat = LOGITS.expand(n, -1, -1).clone().requires_grad_()
    family = type(getattr(q, "base_dist", q))
    live = family(logits=flat)
    z = harden(q, perturb(q, Size([]))).expand(n, -1, -1)
    s = perturb_given(live, z)
    phi = lambda s: (0.5 * s).sin().sum((-1, -2)) + (0.3 * s[..., 0] * s[..., 1]).cos().sum(-1)
    (path,) = torch.autograd.grad(phi(s).sum(), flat, retain_graph=True)
    fixed = s.detach()
    if family is Bernoulli:
        log_p = (fixed - flat) - 2 * torch.logaddexp(fixed - flat, torch.zeros_like(flat))
    else:
        log_p = live.logits - fixed - (live.logits - fixed).exp()
    log_q = live.log_prob(z)
    (score,) = torch.autograd.grad(
        (phi(fixed) * (log_p.sum((-1, -2)) - log_q.flatten(1).sum(1))).sum(), flat
    )
    assert_mean(path - score, 0.0)


def test_condition_keeps_the_value_and_takes_the_conditional_gradient(q):
    base = getattr(q, "base_dist", q)
    leaf = LOGITS.clone().requires_grad_()
    live = type(base)(logits=leaf)
    drawn = perturb_given(live, harden(q, perturb(q, Size([1000]))))
    again = condition(live, drawn.detach())
    assert_close(again, drawn, rtol=0, atol=0)
    weights = torch.randn_like(drawn)
    grads = [
        torch.autograd.grad((weights * value).sum(), leaf, retain_graph=True)[0]
        for value in (drawn, again)
    ]
    assert_close(*grads, rtol=1e-8, atol=1e-8)


# Straight through ------------------------------------------------------------------------------


def test_a_differential_is_zero_with_the_gradient_of_the_logits():
    logits = torch.tensor([0.5, -torch.inf, 1.0], requires_grad=True)
    zero = differential(OneHotCategorical(logits=logits, validate_args=False))
    assert (zero == 0).all()
    (grad,) = torch.autograd.grad(zero[0] + 2 * zero[2], logits)
    p = logits.detach().softmax(-1)  # the logits are normalized: each less the log of the sum
    assert_close(grad, torch.tensor([1.0, 0.0, 2.0]) - 3 * p)


def test_the_differential_of_a_softmax_is_that_of_soften(q):
    base = getattr(q, "base_dist", q)
    leaf = LOGITS.clone().requires_grad_()
    live = type(base)(logits=leaf)
    soft = soften(live, live.logits, 1.0)
    zero = soft_differential(live, soft)
    assert (zero == 0).all()
    weights = torch.randn_like(soft)
    grads = [
        torch.autograd.grad((weights * value).sum(), leaf, retain_graph=True)[0]
        for value in (soft, zero)
    ]
    assert_close(*grads)


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_logits_with_a_margin(q, gap):
    z = harden(q, perturb(q, Size([100])))
    moved = with_margin(q, z, gap)
    logits = getattr(q, "base_dist", q).logits
    binary = isinstance(getattr(q, "base_dist", q), Bernoulli)
    pair = torch.stack([torch.zeros_like(moved), moved], -1) if binary else moved
    chosen = torch.stack([1 - z, z], -1) if binary else z
    on_top = pair.masked_fill(chosen < 0.5, -torch.inf).amax(-1)
    below = pair.masked_fill(chosen > 0.5, -torch.inf).amax(-1)
    assert (on_top - below >= gap - 1e-12).all()
    # nothing moves where there is room already
    if binary:
        room = (2 * z - 1) * logits >= gap
        assert_close(moved[room], logits.expand_as(moved)[room])
    else:
        clear = (logits <= logits.amax(-1, keepdim=True) - gap) & (z < 0.5)
        assert_close(moved[clear], logits.expand_as(moved)[clear])
