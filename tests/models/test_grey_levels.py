"""Likelihoods of 256 grey levels: normalised and differentiable at every parameter value.

The goodness-of-fit test of the draws is seeded; it fails with a probability of 1e-6.
"""

import math

import pytest
import torch
from scipy import stats
from torch import nn
from torch.testing import assert_close

from vae.models.likelihoods import (
    Bernoulli,
    BetaBinomial,
    ContinuousBernoulli,
    Gaussian,
    HeteroscedasticGaussian,
    LogisticMixture,
    assert_defined,
)

LEVELS = torch.arange(256)
KINDS = [LogisticMixture, BetaBinomial]
SIZES = [0.0, 1.0, 10.0, 1e4, 1e30]
"""Of the decoder's outputs."""


def pixels(kind, size, count=500, dtype=torch.float32):
    """That many pixels, and what the decoder said of them."""
    likelihood = kind(nn.Identity()).to(dtype)
    generator = torch.Generator().manual_seed(0)
    raw = size * torch.randn(likelihood.channels, count, generator=generator, dtype=dtype)
    raw.requires_grad_()
    return likelihood.pixels(raw), raw


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_probabilities_of_all_levels_sum_to_one(kind, size):
    p, _ = pixels(kind, size)
    assert p.probs.shape == (500, 256)
    assert_close(p.probs.sum(-1), torch.ones(500), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_level_has_a_finite_log_probability_and_gradient(kind, size):
    p, raw = pixels(kind, size, 200)
    log_p = torch.stack([p.log_prob(torch.full((200,), k / 255)) for k in (0, 1, 128, 254, 255)])
    (gradient,) = torch.autograd.grad(log_p.sum(), raw)
    assert log_p.isfinite().all() and gradient.isfinite().all()
    assert log_p.max() < 1e-5


@pytest.mark.parametrize("size", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_is_close_to_double(kind, size):
    p, q = pixels(kind, size)[0], pixels(kind, size, dtype=torch.float64)[0]
    raw = pixels(kind, size)[1].double()
    exact = kind(nn.Identity()).double().pixels(raw)
    assert q.probs.dtype == torch.float64
    assert_close(p.probs.double(), exact.probs, atol=1e-5, rtol=0)


def test_a_beta_binomial_is_scipys():
    p, _ = pixels(BetaBinomial, 3.0, 50, torch.float64)
    a, b = p.concentration1.detach().numpy(), p.concentration0.detach().numpy()
    for k in (0, 1, 100, 255):
        expected = torch.from_numpy(stats.betabinom.logpmf(k, 255, a, b))
        assert_close(
            p.log_prob(torch.tensor(k / 255).double()).detach(), expected, rtol=1e-9, atol=1e-9
        )


def test_a_logistic_mixture_is_scipys():
    p, _ = pixels(LogisticMixture, 1.0, 50, torch.float64)
    weights, loc, scale = p.logits.softmax(0), p.loc / 255, p.scale / 255
    cdf = stats.logistic(loc.detach().numpy(), scale.detach().numpy()).cdf
    for k in (0, 1, 100, 255):
        upper = 1.0 if k == 255 else cdf((k + 0.5) / 255)
        lower = 0.0 if k == 0 else cdf((k - 0.5) / 255)
        expected = (weights.detach() * torch.as_tensor(upper - lower)).sum(0)
        found = p.log_prob(torch.tensor(k / 255).double()).exp().detach()
        assert_close(found, expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(("kind", "tolerance"), [(LogisticMixture, 0.05), (BetaBinomial, 1e-3)])
@pytest.mark.parametrize("size", [0.0, 1.0, 10.0, 1e4])
def test_the_mean_is_that_of_the_levels(kind, tolerance, size):
    p, _ = pixels(kind, size)
    expected = p.probs @ LEVELS.to(p.probs.dtype)
    assert_close(255 * p.mean, expected, atol=tolerance, rtol=0)
    assert ((p.mean >= 0) & (p.mean <= 1)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_draws_follow_the_probabilities(kind):
    torch.manual_seed(0)
    p, _ = pixels(kind, 1.0, 3)
    drawn = (255 * p.sample(torch.Size([20_000]))).round().long()  # (N, 3)
    for pixel in range(3):
        counts = torch.bincount(drawn[:, pixel], minlength=256).double()
        expected = 20_000 * p.probs[pixel].detach().double()
        order = expected.argsort()
        groups = (expected[order].cumsum(0) / 200).long()  # of 200 expected draws or more
        bins = int(groups.max()) + 1
        seen = torch.zeros(bins).double().index_add_(0, groups, counts[order])
        due = torch.zeros(bins).double().index_add_(0, groups, expected[order])
        kept = due > 5
        chi = ((seen - due).square() / due)[kept].sum().item()
        assert stats.chi2.sf(chi, int(kept.sum()) - 1) > 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_is_a_level_at_every_parameter(kind):
    for size in SIZES:
        p, _ = pixels(kind, size)
        x = p.sample(torch.Size([20]))
        assert p.support.check(x).all() and (p.log_prob(x) > -30).all()
    assert not p.support.check(torch.tensor([0.5, -1 / 255, 256 / 255])).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_can_reach_a_sure_pixel(kind):
    likelihood = kind(nn.Identity())
    for level in (0, 255):
        raw = torch.zeros(likelihood.channels, 1, requires_grad=True)
        optimizer = torch.optim.Adam([raw], lr=0.3)
        for _ in range(120):
            optimizer.zero_grad()
            loss = -likelihood.pixels(raw).log_prob(torch.tensor([level / 255])).sum()
            loss.backward()
            optimizer.step()
        assert loss < 0.05


def test_components_begin_apart():
    p = LogisticMixture(nn.Identity(), 4).pixels(torch.zeros(12, 1))
    assert_close(p.loc[:, 0] / 255, torch.tensor([0.125, 0.375, 0.625, 0.875]))
    assert LogisticMixture(nn.Identity(), 4).channels == 12
    with pytest.raises(ValueError, match="num_components must be at least 1, got 0"):
        LogisticMixture(nn.Identity(), 0)


def test_a_scale_of_each_pixel_has_a_least_value():
    likelihood = HeteroscedasticGaussian(nn.Identity(), min_scale=0.02)
    p = likelihood.pixels(torch.tensor([[0.0, 0.0, 0.0], [-1e4, 0.0, 3.0]]))
    assert_close(
        p.scale, torch.tensor([0.02, 0.02 + math.log1p(math.exp(-2)), 0.02 + math.log1p(math.e)])
    )
    with pytest.raises(ValueError, match="min_scale must be positive and finite, got 0"):
        HeteroscedasticGaussian(nn.Identity(), 0.0)


def test_a_stated_scale_is_not_trained():
    stated = Gaussian(nn.Identity(), 0.3, learned=False)
    assert not list(stated.parameters()) and list(stated.state_dict()) == ["log_scale"]
    assert_close(stated.pixels(torch.zeros(1, 2)).scale, torch.tensor([0.3, 0.3]))
    assert len(list(Gaussian(nn.Identity(), 0.3).parameters())) == 1


@pytest.mark.parametrize(
    ("kind", "levels", "said"),
    [
        (Bernoulli, 2, None),
        (Bernoulli, 256, None),  # a cross-entropy, which is said
        (Gaussian, 256, None),
        (Gaussian, None, None),
        (HeteroscedasticGaussian, 2, "is a density, unbounded on binary pixels"),
        (ContinuousBernoulli, 2, "is a density, unbounded on binary pixels"),
        (LogisticMixture, 256, None),
        (LogisticMixture, 2, "is of 256 grey levels, not of binary pixels"),
        (BetaBinomial, None, "is of 256 grey levels, k / 255, and the pixels have other values"),
        (BetaBinomial, 16, "and the pixels have 16 levels"),
    ],
)
def test_a_likelihood_of_other_pixels_than_the_data_s_is_refused(kind, levels, said):
    likelihood = kind(nn.Identity())
    if said is None:
        assert_defined(likelihood, levels, "none")
        return
    with pytest.raises(ValueError, match=said) as error:
        assert_defined(likelihood, levels, "none")
    assert "\n" not in str(error.value)
