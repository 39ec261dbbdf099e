"""Small untrained models of every family, with codes that differ from image to image."""

import torch
from every_part import FAMILIES, LATENTS
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vae import VAE, Latent, Prior
from vae.distributions.operations import base_of
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder

SHAPE = (1, 8, 8)
NAMES = sorted({**LATENTS, **FAMILIES})
WITH_CATEGORIES = ("one_hot", "relaxed_one_hot", "dirichlet")


class OnlySamples(Latent):
    """A layer of one's own: entries of no known mean, under a prior of dependent ones."""

    def __init__(self, in_features, num_variables=3):
        super().__init__()
        self.code_features = num_variables
        self.loc = nn.Linear(in_features, num_variables)

    def forward(self, features):
        class Plain(Normal):
            mean = property(lambda self: (_ for _ in ()).throw(NotImplementedError))
            mode = mean

        return Independent(Plain(self.loc(features), 0.01), 1)

    def prior(self):
        components = Independent(Normal(torch.tensor([[-2.0] * 3, [2.0] * 3]), 1.0), 1)
        return MixtureSameFamily(Categorical(torch.ones(2)), components)


class Dependent(Prior):
    def __init__(self, latent):
        super().__init__()

    def forward(self, posterior):
        components = Independent(Normal(torch.tensor([[-2.0] * 3, [2.0] * 3]), 1.0), 1)
        return MixtureSameFamily(Categorical(torch.ones(2)), components)


def model(name, num=3, shape=SHAPE, prior=None, **options):
    """A VAE of so many variables; its posterior is far from its prior."""
    torch.manual_seed(7)
    encoder = MLPEncoder(shape, [12])
    kind = {**LATENTS, **FAMILIES, "own": OnlySamples}[name]
    key = "latent_dim" if name == "gaussian" else "num_variables"
    options = {key: num, **options}
    if name in WITH_CATEGORIES:
        options.setdefault("num_categories", 4)
    latent = kind(encoder.out_features, **options)
    for layer in latent.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 12
            layer.bias.data.zero_()
    decoder = MLPDecoder(latent.code_features, shape, hidden=[12])
    prior = None if prior is None else prior(latent)
    return VAE(encoder, latent, Bernoulli(decoder), prior).eval()


def images(count=6, shape=SHAPE):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(3)).round()


def family(vae):
    return base_of(vae.hard.prior())
