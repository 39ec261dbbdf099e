"""Evaluation: exact K, independence of chunks, bounds that rise to a known log p(x)."""

import math

import pytest
import torch
from every_part import FAMILIES, LATENTS, LIKELIHOODS
from torch import distributions as distributions
from torch import nn
from torch.distributions import MultivariateNormal

from vae import VAE
from vae.evaluation import terms as evaluation
from vae.evaluation.exact import exact_log_likelihood
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.likelihoods import Bernoulli, Gaussian
from vae.models.networks import MLPDecoder, MLPEncoder

SHAPE = (1, 2, 2)


def toy(latent_class, *sizes, seed=0, **options):
    torch.manual_seed(seed)
    encoder = MLPEncoder(SHAPE, [6])
    latent = latent_class(6, *sizes, **options)
    likelihood = Bernoulli(MLPDecoder(latent.code_features, SHAPE, hidden=[6]))
    with torch.no_grad():
        for p in likelihood.parameters():
            p.mul_(4)
    return VAE(encoder, latent, likelihood)


@pytest.fixture
def x():
    return torch.randint(0, 2, (5, *SHAPE), generator=torch.Generator().manual_seed(1)).float()


@pytest.fixture
def seen(monkeypatch):
    """The latents that are decoded, in order."""
    calls, decode = [], VAE.decode

    def look(self, z):
        calls.append(z)
        return decode(self, z)

    monkeypatch.setattr(VAE, "decode", look)
    return calls


@pytest.mark.parametrize("num_samples", [1, 9, 10, 50, 51, 101])
@pytest.mark.parametrize("chunk", [1, 2, 5, 9, 50, 10_000])
def test_exactly_k_samples_are_drawn_of_each_image(x, seen, num_samples, chunk):
    value = toy(Binary, 3).log_likelihood(x, num_samples, chunk)
    assert value.shape == (5,) and value.dtype == x.dtype and value.isfinite().all()
    assert sum(z.shape[0] * z.shape[1] for z in seen) == 5 * num_samples
    assert max(z.shape[0] * z.shape[1] for z in seen) <= chunk


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"])
@pytest.mark.parametrize("latent", [*LATENTS, *FAMILIES])
def test_single_precision_is_that_of_the_plain_formula(latent, likelihood, seen):
    # at the size of real images
    torch.manual_seed(0)
    image, num_samples = (1, 28, 28), 1000
    layer = (LATENTS | FAMILIES)[latent](6)
    family = LIKELIHOODS[likelihood]
    decoder = MLPDecoder(layer.code_features, image, hidden=[6], channels=family.channels)
    vae = VAE(MLPEncoder(image, [6]), layer, family(decoder))
    x = torch.bernoulli(torch.full((2, *image), 0.3))
    value = vae.log_likelihood(x, num_samples, 100)
    # one image after the other: (B K, 1, *event) to (K, B, *event)
    z = torch.cat(seen).unflatten(0, (2, num_samples)).squeeze(2).transpose(0, 1).double()
    vae, x = vae.double().hard, x.double()
    with torch.no_grad():
        q, prior = vae.posterior(x), vae.prior()
        parameters = vae.likelihood.decoder(vae.latent.code(z)).squeeze(2)  # (K, B, *image)
        if likelihood == "bernoulli":
            pixels = distributions.Bernoulli(logits=parameters)
        elif likelihood == "continuous_bernoulli":
            pixels = distributions.ContinuousBernoulli(logits=parameters)
        else:
            pixels = distributions.Normal(parameters.sigmoid(), vae.likelihood.log_scale.exp())
        log_weight = pixels.log_prob(x).sum((-1, -2, -3)) + prior.log_prob(z) - q.log_prob(z)
        expected = log_weight.logsumexp(0) - math.log(num_samples)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "make", [lambda: toy(Binary, 4), lambda: toy(OneHot, 2, 3), lambda: toy(RelaxedOneHot, 2, 3)]
)
def test_bounds_rise_to_the_exact_log_likelihood(make, x):
    vae = make()
    exact = exact_log_likelihood(vae, x)
    often = x.repeat(300, 1, 1, 1)
    bounds = torch.stack(
        [vae.log_likelihood(often, k).unflatten(0, (300, 5)).mean(0) for k in (1, 4, 16)]
    )
    assert (bounds.diff(dim=0) > 0).all() and (bounds[-1] < exact + 0.02).all()
    torch.testing.assert_close(vae.log_likelihood(x, 20_000), exact, atol=0.03, rtol=0)


def test_exact_log_likelihood_is_a_distribution_over_images():
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(16, *SHAPE)
    total = exact_log_likelihood(toy(OneHot, 2, 3), images).logsumexp(0)
    assert total.item() == pytest.approx(0.0, abs=1e-5)


def test_elbo_is_minus_rate_minus_distortion_and_below_log_p(x):
    vae = toy(Binary, 4)
    terms = evaluation.elbo_terms(vae, x, 5000)
    torch.testing.assert_close(terms.elbo, -terms.rate - terms.distortion)
    assert (terms.rate >= 0).all()
    assert (terms.elbo < exact_log_likelihood(vae, x) + 0.01).all()


def test_linear_gaussian_model_has_a_closed_form():
    # Probabilistic PCA, x = w z + b + noise. With its exact posterior as q every importance weight
    # is p(x) itself: one sample is enough, and the ELBO is log p(x) in the mean.
    torch.manual_seed(0)
    P, scale = 4, 0.3
    w, b = 0.02 * torch.randn(P, 1), torch.tensor([0.3, 0.5, 0.6, 0.4])

    class Linear(nn.Module):
        def forward(self, z):  # the Gaussian likelihood squashes its mean into (0, 1)
            return (z @ w.T + b).logit().unflatten(-1, (1, *SHAPE))

    vae = VAE(nn.Flatten(), DiagonalGaussian(P, 1), Gaussian(Linear(), scale))
    precision = (w.T @ w).item() / scale**2 + 1
    with torch.no_grad():
        layer = vae.latent.parameters_of
        layer.weight.zero_()[0] = w[:, 0] / scale**2 / precision
        layer.bias[0] = -(w[:, 0] @ b) / scale**2 / precision
        layer.bias[1] = -0.5 * math.log(precision)
    x = torch.rand(3, *SHAPE)
    exact = MultivariateNormal(b, w @ w.T + scale**2 * torch.eye(P)).log_prob(x.flatten(1))
    for k in (1, 7):
        value = vae.log_likelihood(x, k)
        torch.testing.assert_close(value, exact, atol=1e-4, rtol=0)
    elbo = evaluation.elbo_terms(vae, x, 100_000).elbo
    torch.testing.assert_close(elbo, exact, atol=0.01, rtol=0)


def test_relaxed_models_are_evaluated_by_their_hard_samples(x, seen):
    vae = toy(RelaxedOneHot, 2, 3)
    evaluation.elbo_terms(vae, x, 3)
    vae.log_likelihood(x, 3)
    assert len(seen) == 2
    assert all(set(z.unique().tolist()) == {0.0, 1.0} for z in seen)
    assert all((z.sum(-1) == 1).all() for z in seen)


@pytest.mark.parametrize("num_samples, chunk", [(0, 1), (1, 0), (-5, 1)])
def test_no_samples_say_so(x, num_samples, chunk):
    with pytest.raises(ValueError, match="at least 1"):
        toy(Binary, 2).log_likelihood(x, num_samples, chunk)


def test_exact_needs_something_to_enumerate(x):
    with pytest.raises(NotImplementedError, match="Normal"):
        exact_log_likelihood(toy(DiagonalGaussian, 2), x)
    with pytest.raises(ValueError, match="configurations"):
        exact_log_likelihood(toy(Binary, 40), x)


def test_one_sample_of_the_bound_is_log_weight_by_hand(x, seen):
    vae = toy(Binary, 3)
    value = vae.log_likelihood(x, 1)
    (z,) = seen
    p = vae.likelihood(z).base_dist.logits.double().sigmoid()
    by_hand = (x * p.log() + (1 - x) * (1 - p).log()).sum((-1, -2, -3))
    by_hand = by_hand - 3 * math.log(2) - vae.posterior(x).log_prob(z)
    torch.testing.assert_close(value.double(), by_hand[0], atol=1e-4, rtol=0)
