"""The model's own methods, as a notebook calls them: shapes, values, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from vae.models.composition import compose
from vae.models.latents.base import Latent
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Likelihood
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.vae import VAE
from vae.objectives import ELBO
from vae.training.module import VAEModule
from vae.training.presets import GaussianVAE

SHAPE = (1, 4, 4)


def toy(latent: Latent, likelihood: type[Likelihood] = Bernoulli) -> VAE:
    decoder = MLPDecoder(latent.code_features, SHAPE, hidden=(6,))
    return VAE(MLPEncoder(SHAPE, hidden=(6,)), latent, likelihood(decoder))


@pytest.fixture
def x() -> Tensor:
    return torch.rand(5, *SHAPE).round()


def test_a_reconstruction_is_the_mean_of_the_pixels_at_a_posterior_sample(x):
    model = toy(DiagonalGaussian(6, 3))
    torch.manual_seed(1)
    found = model(x)
    torch.manual_seed(1)
    assert_close(found, model.decode(model.posterior(x).sample()).mean.detach())
    assert found.shape == x.shape and not found.requires_grad


def test_a_trained_model_reconstructs_what_it_has_learned():
    torch.manual_seed(1)  # at 0 all six hidden units die
    model = toy(DiagonalGaussian(6, 2))
    left = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(SHAPE)
    x = torch.stack([left, 1 - left]).repeat(16, 1, 1, 1)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        q = model.posterior(x)
        loss = (model.kl(q) - model.decode(q.rsample()).log_prob(x)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(x) - x).abs().mean() < 0.1


def test_relaxed_models_reconstruct_and_sample_by_hard_latents(x, monkeypatch):
    model = toy(RelaxedOneHot(6, 2, 3))
    seen, decode = [], VAE.decode
    monkeypatch.setattr(VAE, "decode", lambda self, z: (seen.append(z), decode(self, z))[1])
    model(x), model.sample(4), model.log_likelihood(x, 2)
    assert len(seen) == 3
    assert all(set(z.unique().tolist()) == {0.0, 1.0} for z in seen)


@pytest.mark.parametrize("likelihood", [Bernoulli, ContinuousBernoulli, Gaussian])
def test_samples_are_means_or_draws(likelihood):
    model = toy(OneHot(6, 2, 3), likelihood)
    torch.manual_seed(1)
    means = model.sample(7)
    torch.manual_seed(1)
    p = model.decode(model.prior().sample((7,)))
    assert_close(means, p.mean.detach())
    torch.manual_seed(1)
    draws = model.sample(7, draw=True)
    torch.manual_seed(1)
    assert_close(draws, model.decode(model.prior().sample((7,))).sample())
    assert draws.shape == means.shape == (7, *SHAPE) and not torch.equal(draws, means)
    assert model.sample().shape == (16, *SHAPE)


BAD = {
    "whole numbers": (lambda x: (255 * x).to(torch.uint8), r"not torch.uint8: x.float\(\) / 255"),
    "no channel": (lambda x: x[:, 0], r"shape \(B, 1, 4, 4\), got \(5, 4, 4\)"),
    "no batch": (lambda x: x[0], r"shape \(B, 1, 4, 4\), got \(1, 4, 4\)"),
    "flat": (lambda x: x.flatten(1), r"shape \(B, 1, 4, 4\), got \(5, 16\)"),
    "numpy's": (lambda x: x.double(), r"are torch.float64, the model is torch.float32: x.to\("),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("method", ["__call__", "posterior", "log_likelihood"])
@pytest.mark.parametrize("latent", [DiagonalGaussian, RelaxedOneHot])
def test_images_that_do_not_fit_are_refused_in_one_line(name, method, latent, x):
    spoil, message = BAD[name]
    with pytest.raises(ValueError, match=message) as error:
        getattr(toy(latent(6)), method)(spoil(x))
    assert "\n" not in str(error.value)


def test_an_encoder_that_does_not_tell_its_shape_can_be_told(x):
    model = toy(Binary(6, 3))

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(16, 6))
            self.out_features = 6

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    assert compose(SHAPE, encoder=lambda shape: Own()).vae.image_shape == SHAPE
    untold = VAE(Own(), model.latent, model.likelihood)
    assert untold.image_shape is None and untold(x).shape == x.shape
    told = VAE(Own(), model.latent, model.likelihood, image_shape=SHAPE)
    with pytest.raises(ValueError, match=r"shape \(B, 1, 4, 4\)"):
        told(x[:, 0])


def test_what_is_of_the_models_precision_is_taken(x):
    grey = torch.rand_like(x)
    assert toy(Binary(6, 3)).log_likelihood(grey, 3).isfinite().all()  # a cross-entropy
    assert toy(Binary(6, 3)).double()(x.double()).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert toy(Binary(6, 3)).posterior(x.bfloat16()).batch_shape == (5,)


@pytest.mark.parametrize(
    ("latent", "z", "message"),
    [
        (lambda: DiagonalGaussian(6, 3), (5, 4), r"shape \(\*, 3\), got \(5, 4\)"),
        (lambda: OneHot(6, 2, 3), (5, 6), r"shape \(\*, 2, 3\), got \(5, 6\)"),
        (lambda: OneHot(6, 2, 3), (5, 3, 3), r"shape \(\*, 2, 3\), got \(5, 3, 3\)"),
    ],
)
def test_latents_that_do_not_fit_are_refused_in_one_line(latent, z, message):
    with pytest.raises(ValueError, match=message):
        toy(latent()).decode(torch.zeros(z))


def test_the_lightning_module_has_the_same_methods(x):
    module = GaussianVAE(latent_dim=3, image_shape=SHAPE, hidden=[6])
    z = module.posterior(x).sample()
    assert_close(module.decode(z).mean, module.vae.decode(z).mean)
    for own, of_model in [
        (lambda: module(x), lambda: module.vae(x)),
        (lambda: module.sample(3), lambda: module.vae.sample(3)),
        (lambda: module.log_likelihood(x, 4), lambda: module.vae.log_likelihood(x, 4)),
    ]:
        torch.manual_seed(2)
        value = own()
        torch.manual_seed(2)
        assert torch.equal(value, of_model())
    assert isinstance(module, VAEModule) and isinstance(module.objective, ELBO)
