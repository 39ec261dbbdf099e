"""The truth is right: what the known models say, against sampling, quadrature, and themselves."""

import pytest
import torch
from known import Enumerated, linear_gaussian, small_binary, small_one_hot


@pytest.mark.parametrize("orthogonal", [True, False])
def test_the_linear_gaussian_model_is_what_its_formulae_say(orthogonal, assert_mean):
    vae = linear_gaussian(3, 5, orthogonal=orthogonal).double()
    vae.set_encoder(shift=0.5, stretch=1.5)
    z, x = vae.draw(20_000)
    q, p = vae.posterior(x), vae.decode(z)
    torch.testing.assert_close(q.log_prob(z), vae.true_q(x).log_prob(z))
    # Bayes: log p(x) = log p(x|z) + log p(z) - log p(z|x), whatever z
    joint = p.log_prob(x) + vae.prior().log_prob(z)
    torch.testing.assert_close(vae.log_p(x), joint - vae.true_posterior(x).log_prob(z))
    sample = q.sample()
    ratio = q.log_prob(sample) - vae.prior().log_prob(sample)
    pixels = vae.decode(sample).log_prob(x)
    assert_mean(ratio - vae.rate(x), 0.0)
    assert_mean(-pixels - vae.distortion(x), 0.0)
    assert_mean(vae.rate(x), vae.mutual_information() + vae.marginal_kl())
    assert_mean(vae.aggregate().log_prob(sample) - q.log_prob(sample), -vae.mutual_information())
    # 0.5 (r^2 - 1 - log r^2) + 0.5 d^2 a variable of its own
    if orthogonal:
        assert vae.approximation_gap().item() == pytest.approx(0, abs=1e-12)
        expected = 3 * 0.5 * (1.5**2 - 1 - torch.tensor(1.5**2).log() + 0.5**2)
        torch.testing.assert_close(vae.amortization_gap(x), expected.double().expand(len(x)))
    else:
        assert vae.approximation_gap() > 0.1


def test_the_best_diagonal_gaussian_is_the_best():
    vae = linear_gaussian(3, 5, orthogonal=False).double()
    _, x = vae.draw(5)
    best = vae.elbo(x)
    torch.testing.assert_close(vae.log_p(x) - best, vae.approximation_gap().expand(5))
    for shift, stretch in [(0.1, 1.0), (-0.1, 1.0), (0.0, 1.1), (0.0, 0.9)]:
        vae.set_encoder(shift, stretch)
        assert (vae.elbo(x) < best).all()
    vae.set_encoder()
    torch.testing.assert_close(vae.amortization_gap(x), torch.zeros(5).double())


@pytest.mark.parametrize("make", [small_one_hot, small_binary])
def test_the_small_models_are_what_their_sums_say(make, assert_mean):
    vae = make()
    truth = Enumerated(vae)
    assert truth.weights().sum().item() == pytest.approx(1, abs=1e-10)
    x = truth.images[::7]
    torch.testing.assert_close(truth.q(x).sum(0), torch.ones(len(x)).double(), rtol=0, atol=1e-5)
    p = vae.decode(truth.z[:, None]).log_prob(x).double()
    torch.testing.assert_close(truth.log_likelihoods(x), p, rtol=0, atol=1e-5)
    log_prior = vae.prior().log_prob(truth.z).double()
    torch.testing.assert_close(truth.log_prior, log_prior, rtol=0, atol=1e-5)
    torch.testing.assert_close(truth.rate(x), vae.kl(vae.posterior(x)).double(), atol=1e-5, rtol=0)
    gap = truth.log_p(x) - truth.elbo(x)
    assert gap.min() > 0.01  # q is not exact, and so every test sees a difference
    posterior = truth.true_posterior(x)
    q = truth.q(x)
    torch.testing.assert_close(gap, (q * (q / posterior).log()).sum(0), atol=1e-6, rtol=1e-6)
    weights = truth.weights()
    information = truth.mutual_information(truth.images, weights)
    marginal = truth.marginal_kl(truth.images, weights)
    assert information > 0.04 and marginal > 0.04
    torch.testing.assert_close(information + marginal, weights @ truth.rate(truth.images))
    z, images = truth.draw(20_000)
    assert_mean(z, truth.log_prior.exp() @ truth.z.double().flatten(1))
    assert_mean(images, weights @ truth.images.double().flatten(1))
