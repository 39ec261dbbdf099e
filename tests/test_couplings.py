"""Hard and soft samples of the same noise: consistent with each other, each with its own law."""

from __future__ import annotations

import pytest
import torch
from torch import Size
from torch import distributions as D
from torch.distributions import Bernoulli, Independent, Normal
from torch.testing import assert_close

from vae.couplings import harden, perturb, soften
from vae.distributions import (
    ExpRelaxedOneHotCategorical,
    OneHotCategorical,
    RelaxedOneHotCategorical,
    support,
)

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
    ):
        with pytest.raises(NotImplementedError, match=name):
            call()
