"""Latents and priors of a user's own, with no more than a density and samples."""

import torch
from torch import nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
)

from vae import VAE
from vae.models.latents.base import Latent
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.prior import Prior

SHAPE = (1, 2, 2)


class Bare(Distribution):
    """A normal law of which no more is known than its density and its samples."""

    def __init__(self, loc, scale):
        self.normal = Normal(*torch.broadcast_tensors(loc, scale))
        super().__init__(self.normal.batch_shape, validate_args=False)

    def sample(self, sample_shape=()):
        return self.normal.sample(sample_shape)

    def log_prob(self, value):
        return self.normal.log_prob(value)


class BareLatent(Latent):
    """Bare variables: each one's q is N(shift x gain, 1 / 2)."""

    def __init__(self, in_features, num_variables=3):
        super().__init__()
        self.code_features = num_variables
        self.loc = nn.Linear(in_features, num_variables)
        self.register_buffer("zeros", torch.zeros(num_variables))

    def forward(self, features):
        return Independent(Bare(self.loc(features), torch.tensor(0.5)), 1, validate_args=False)

    def prior(self):
        return Independent(Bare(self.zeros, torch.tensor(1.0)), 1, validate_args=False)


class MixturePrior(Prior):
    """A mixture of Gaussians: no product over variables, and no closed KL."""

    def __init__(self, size):
        super().__init__()
        self.loc = nn.Parameter(torch.randn(4, size))

    def forward(self, posterior):
        components = Independent(Normal(self.loc, 1.0), 1)
        return MixtureSameFamily(Categorical(logits=torch.zeros(4)), components)


def toy(latent_class, *sizes, prior=None, sharp=4.0, **options):
    """A model of 2 x 2 pixels with this latent layer; ``sharp`` scales what q depends on."""
    encoder = MLPEncoder(SHAPE, [6])
    latent = latent_class(6, *sizes, **options)
    likelihood = Bernoulli(MLPDecoder(latent.code_features, SHAPE, hidden=[6]))
    with torch.no_grad():
        for p in [*likelihood.parameters(), *encoder.parameters()]:
            p.mul_(sharp)
    return VAE(encoder, latent, likelihood, prior).eval()
