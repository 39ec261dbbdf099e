"""Likelihoods: normalised densities of images in nats, summed over pixels."""

from __future__ import annotations

import math

import pytest
import torch
from every_part import LIKELIHOODS, NETWORKS
from torch import Size
from torch.nn.functional import softplus
from torch.testing import assert_close

from vae.distributions.continuous_bernoulli import (
    ContinuousBernoulli as continuous_bernoulli_pixels,
)
from vae.models.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from vae.models.likelihoods.bernoulli import _BernoulliPixels
from vae.models.networks import MLPDecoder

D = 5


def build(family, image, network="mlp", hidden=(4,)):
    decoder = NETWORKS[network][1](D, image, family.channels, hidden)
    likelihood = family(decoder).double()
    for p in decoder.parameters():  # away from zero, where every pixel is alike
        torch.nn.init.normal_(p)
    return likelihood


def code(*leading):
    return torch.randn(*leading, D, dtype=torch.float64)


@pytest.fixture(params=LIKELIHOODS)
def family(request):
    return LIKELIHOODS[request.param]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("image", [(1, 28, 28), (1, 8, 8), (3, 8, 8)])
@pytest.mark.parametrize("leading", [(3,), (2, 3)])
def test_shapes(family, network, image, leading):
    p = build(family, image, network)(code(*leading))
    assert p.batch_shape == leading and p.event_shape == image
    assert p.mean.shape == p.sample().shape == (*leading, *image)
    x = torch.bernoulli(torch.full((3, *image), 0.5, dtype=torch.float64))
    assert p.log_prob(x).shape == leading  # images broadcast over samples


def test_samples_lie_in_the_support(family):
    p = build(family, (1, 8, 8))(code(3))
    assert p.support.check(p.sample(Size([10]))).all()
    assert ((p.mean >= 0) & (p.mean <= 1)).all()


def test_bernoulli_sums_to_one_over_all_images():
    p = build(Bernoulli, (1, 2, 2))(code(1))
    every = torch.cartesian_prod(*[torch.arange(2.0, dtype=torch.float64)] * 4)
    total = p.log_prob(every.view(16, 1, 1, 2, 2)).exp().sum(0)
    assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize(
    ("family", "low", "high"), [(ContinuousBernoulli, 0, 1), (Gaussian, -2, 3)]
)
def test_continuous_likelihoods_integrate_to_one(family, low, high):
    p = build(family, (1, 1, 2))(code(1))
    line = torch.linspace(low, high, 1001, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line).view(-1, 1, 1, 1, 2)
    density = p.log_prob(grid).exp().view(1001, 1001)
    total = torch.trapezoid(torch.trapezoid(density, line), line)
    assert_close(total, torch.ones_like(total), atol=1e-4, rtol=0)


def bernoulli(l, x, likelihood):
    return x * l - softplus(l)


def continuous_bernoulli(l, x, likelihood):
    # C(probs) = 2 artanh(1 - 2 probs) / (1 - 2 probs) = l / tanh(l / 2)
    return x * l - softplus(l) + (l / (l / 2).tanh()).log()


def gaussian(l, x, likelihood):
    scale = likelihood.log_scale.exp()
    return -(((x - l.sigmoid()) / scale) ** 2) / 2 - scale.log() - math.log(2 * math.pi) / 2


@pytest.mark.parametrize(
    ("family", "formula"),
    [(Bernoulli, bernoulli), (ContinuousBernoulli, continuous_bernoulli), (Gaussian, gaussian)],
)
def test_log_prob_is_the_sum_over_pixels_in_nats(family, formula):
    likelihood, z = build(family, (1, 4, 3)), code(2, 3)
    x = torch.bernoulli(torch.full((3, 1, 4, 3), 0.5, dtype=torch.float64))
    logits = likelihood.decoder(z)[:, :, 0]  # (K, B, *image): the first channel
    expected = formula(logits, x, likelihood).sum((-1, -2, -3))
    assert_close(likelihood(z).log_prob(x), expected)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-8)])
def test_bernoulli_log_prob_and_its_derivatives_are_torchs(dtype, tolerance):
    logits = torch.cat([torch.linspace(-150, 150, 301), 20 + torch.linspace(-1e-3, 1e-3, 5)])
    x = torch.tensor([0.0, 1.0, 0.3])[:, None]  # grey is a cross-entropy
    found, expected = [], []
    for pixels, results in ((_BernoulliPixels, found), (torch.distributions.Bernoulli, expected)):
        l = logits.to(dtype).requires_grad_()
        value = pixels(logits=l, validate_args=False).log_prob(x.to(dtype))
        (first,) = torch.autograd.grad(value.sum(), l, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), l)
        results += [value, first, second]
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b, rtol=tolerance, atol=tolerance)


def test_bernoulli_log_prob_is_differentiable_in_both_and_maps():
    logits, x = torch.randn(2, 3, 4).double(), torch.rand(3, 4).double()
    arguments = logits.requires_grad_(), x.requires_grad_()  # images broadcast over samples
    function = lambda l, x: _BernoulliPixels(logits=l, validate_args=False).log_prob(x)
    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)
    found = torch.func.vmap(torch.func.grad(lambda l, x: function(l, x).sum()), (0, None))(
        *arguments
    )
    assert_close(found, x - logits.sigmoid())


@pytest.mark.parametrize("logit", [0.0, 1e-3, 1.0, 15.0, 17.0, 20.0, 30.0, 50.0, 100.0, 1000.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_continuous_bernoulli_integrates_to_one_in_single_precision(logit, sign):
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    pixels = continuous_bernoulli_pixels(torch.tensor(sign * logit), validate_args=False)
    density = pixels.log_prob(x.float()).double().exp()
    assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=1e-5)


def test_continuous_bernoulli_has_all_derivatives_and_maps():
    # about 0 and 1, where formulae change, and where an exponential overflows in single precision
    logits = torch.tensor([-120.0, -17.0, -1.0, -0.3, 0.0, 0.3, 1.0, 17.0, 120.0]).double()
    x = torch.tensor([0.0, 0.3, 1.0]).double()[:, None]
    function = lambda l, x: continuous_bernoulli_pixels(l, validate_args=False).log_prob(x)
    arguments = logits.clone().requires_grad_(), x.clone().requires_grad_()
    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)
    p = continuous_bernoulli_pixels(logits)
    slope = torch.func.vmap(torch.func.grad(lambda l, x: function(l, x).sum()), (0, None))
    assert_close(slope(logits, x[0]), x[0] - p.mean)
    curvature = torch.func.vmap(
        torch.func.grad(torch.func.grad(lambda l: function(l, x[0]).sum()))
    )
    assert_close(curvature(logits), -p.variance)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("pixels", [_BernoulliPixels, continuous_bernoulli_pixels])
def test_what_the_compiler_sees_is_the_same_log_prob(pixels, dtype, tolerance, monkeypatch):
    sizes = torch.tensor([0.0, 1e-3, 0.5, 1.0, 17.0, 100.0, 1e6, 5e37])
    x = torch.tensor([0.0, 0.3, 1.0], dtype=dtype)[:, None]
    results = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
        l = torch.cat([-sizes, sizes]).to(dtype).requires_grad_()
        value = pixels(logits=l, validate_args=False).log_prob(x)
        (first,) = torch.autograd.grad(value.sum(), l, create_graph=True)
        results.append((value, first, torch.autograd.grad(first.sum(), l)[0]))
    for eager, compiled in zip(*results, strict=True):
        assert_close(eager, compiled, rtol=tolerance, atol=tolerance)


def test_only_bernoulli_is_a_distribution_of_binary_images(family):
    assert family.binary == (family is Bernoulli)


def test_gaussian_scale_is_learned():
    likelihood = Gaussian(MLPDecoder(D, (1, 2, 2), hidden=[]), scale=0.3)
    assert_close(likelihood.log_scale.exp().item(), 0.3)
    likelihood(torch.randn(3, D)).log_prob(torch.rand(3, 1, 2, 2)).sum().backward()
    assert likelihood.log_scale.grad.abs() > 0


def test_distributions_are_in_single_precision_under_autocast(family):
    likelihood = family(MLPDecoder(D, (1, 4, 4), family.channels, hidden=[4]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert likelihood.decoder(torch.randn(3, D)).dtype == torch.bfloat16
        p = likelihood(torch.randn(3, D))
        assert p.mean.dtype == torch.float32
        assert p.log_prob(torch.ones(3, 1, 4, 4)).dtype == torch.float32


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ValueError, match=f"scale must be positive and finite, got {scale}"):
        Gaussian(MLPDecoder(D, (1, 2, 2)), scale)


@pytest.mark.parametrize("image", [(1, 28, 28), (1, 8, 8), (3, 5, 7), (1, 1, 2)])
@pytest.mark.parametrize("grey", [False, True])
def test_the_faster_sum_over_bernoulli_pixels_is_that_of_its_terms(image, grey):
    logits = 30 * torch.randn(4, 3, *image)
    x = torch.rand(3, *image)
    x = x if grey else x.round()
    p = Bernoulli(torch.nn.Unflatten(-1, (1, *image)))(logits.flatten(2))
    pixels = Bernoulli(torch.nn.Unflatten(-1, (1, *image)))(logits.double().flatten(2)).base_dist
    expected = pixels.log_prob(x.double()).sum((-1, -2, -3))
    with torch.no_grad():
        assert p.base_dist.summed_log_prob(x, 3) is not None
        assert_close(p.log_prob(x).double(), expected, rtol=2e-6, atol=1e-5)
        assert p.log_prob(x[0]).shape == (4, 3)
        # what the faster sum has no room for
        assert p.base_dist.summed_log_prob(x.double(), 3) is None
        assert p.log_prob(x.expand(2, 4, *x.shape)).shape == (2, 4, 3)
    assert p.base_dist.summed_log_prob(x, 3) is None  # a gradient is asked for


def test_the_faster_sum_takes_infinite_logits():
    logits = torch.tensor([[math.inf, -math.inf, 1e30, -200.0]])
    p = Bernoulli(torch.nn.Unflatten(-1, (1, 1, 2, 2)))(logits)
    x = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]]).view(2, 1, 2, 2)
    slow = [p.log_prob(one) for one in x]
    with torch.no_grad():
        assert_close(p.log_prob(x[0]), slow[0], rtol=0, atol=0)
        assert_close(p.log_prob(x[1]), slow[1], rtol=0, atol=0)
