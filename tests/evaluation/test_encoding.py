"""Codes of images: of every family, and of families that say less."""

import pytest
import torch
from every_part import FAMILIES, LATENTS
from torch.distributions import (
    Categorical,
    Cauchy,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
)

from vae import VAE, Bernoulli, DiagonalGaussian, MLPDecoder, MLPEncoder
from vae.evaluation.encoding import encode, features
from vae.models.latents.base import Latent
from vae.models.latents.one_hot import OneHot
from vae.models.latents.relaxed_one_hot import RelaxedOneHot

SHAPE = (1, 8, 8)


def model(kind, **options):
    encoder = MLPEncoder(SHAPE, hidden=(16,))
    latent = kind(encoder.out_features, **options)
    return VAE(encoder, latent, Bernoulli(MLPDecoder(latent.code_features, SHAPE, hidden=(16,))))


def images(count=6):
    return torch.rand(count, *SHAPE).round()


@pytest.mark.parametrize("family", [*LATENTS, *FAMILIES])
def test_every_family_has_a_sample_a_code_a_mean_and_its_parameters(family):
    vae, x = model((LATENTS | FAMILIES)[family]), images()
    found = encode(vae, x)
    q = vae.hard.posterior(x)
    assert torch.equal(found["code"], vae.hard.latent.code(found["z"]))
    assert q.log_prob(found["z"]).isfinite().all() and torch.equal(found["mean"], q.mean)
    names = found.keys() - {"z", "code", "mean"}
    again = type(q.base_dist)(**{name: found[name] for name in names})
    assert torch.equal(Independent(again, 1).log_prob(found["z"]), q.log_prob(found["z"]))
    assert all(len(value) == 6 for value in found.values())


def test_relaxed_latents_are_encoded_by_hard_ones():
    vae = model(RelaxedOneHot, num_variables=3, num_categories=4)
    z = encode(vae, images())["z"]
    assert set(z.unique().tolist()) == {0.0, 1.0} and (z.sum(-1) == 1).all()


def test_features_are_what_the_decoder_reads_of_the_mean():
    x = images()
    gaussian = model(DiagonalGaussian, latent_dim=5)
    found, words = features(gaussian, x)
    assert torch.equal(found, gaussian.posterior(x).mean) and words == "mean of q"
    one_hot = model(OneHot, num_variables=3, num_categories=4)
    found, words = features(one_hot, x)
    assert torch.allclose(found, one_hot.posterior(x).base_dist.probs.flatten(1))
    assert found.shape == (6, 12) and words == "mean of q"
    angles = model(FAMILIES["von_mises"], num_variables=3)
    found, words = features(angles, x)
    mean = angles.posterior(x).mean
    assert torch.equal(found, torch.cat([mean.cos(), mean.sin()], -1))
    assert words == "code of the mean of q"


class Own(Latent):
    """A latent layer whose family is given: two numbers a variable."""

    def __init__(self, in_features, family, code_features=2):
        super().__init__()
        self.linear, self.family, self.code_features = (
            torch.nn.Linear(in_features, 4),
            family,
            code_features,
        )

    def forward(self, features):
        return self.family(self.linear(features).unflatten(-1, (2, 2)))  # (B, 2, 2)

    def prior(self):
        return Independent(Normal(torch.zeros(2), 1.0), 1)


class Silent(Distribution):
    """Says nothing of itself but samples and their density."""

    def __init__(self, loc):
        self.loc = loc
        super().__init__(loc.shape[:1], loc.shape[1:], validate_args=False)

    def sample(self, sample_shape=torch.Size()):  # noqa: B008
        return self.loc + torch.randn(*sample_shape, *self.loc.shape)

    def log_prob(self, z):
        return -(z - self.loc).square().sum(-1)


def mixture(parameters):
    weights = Categorical(logits=parameters[..., 0])
    parts = Independent(Normal(parameters, torch.ones(2)), 1)
    return MixtureSameFamily(weights, parts)


def test_what_a_family_of_ones_own_does_not_say_is_left_out():
    x = images()
    assert encode(model(Own, family=lambda p: Silent(p[..., 0])), x).keys() == {"z", "code"}
    found = encode(model(Own, family=mixture), x)
    assert found.keys() == {"z", "code", "mean"} and found["z"].shape == (6, 2)
    cauchy = lambda p: Independent(Cauchy(p[..., 0], p[..., 1].exp()), 1)
    assert encode(model(Own, family=cauchy), x).keys() == {"z", "code", "loc", "scale"}
    shared = lambda p: Independent(Normal(p[..., 0], 1.0), 1)
    assert encode(model(Own, family=shared), x).keys() >= {"z", "code", "mean", "loc"}


def test_features_without_a_mean_are_of_samples():
    vae, x = model(Own, family=lambda p: Silent(p[..., 0])), images(2000)
    found, words = features(vae, x)
    assert words == "mean code of 16 samples of q"
    error = found - vae.posterior(x).loc  # of standard deviation 1/4
    assert abs(error.std() - 0.25) < 5 * 0.25 / (2 * 4000) ** 0.5
