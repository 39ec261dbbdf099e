"""The samples of log p(x): fixed by seed, image and block, whatever is decoded together."""

import pytest
import torch
from every_part import FAMILIES, LATENTS
from torch import nn
from torch.distributions import Categorical, Independent, Laplace, MixtureSameFamily, Normal

from vae import VAE, Bernoulli, MLPDecoder, MLPEncoder
from vae.distributions.operations import parameters, select
from vae.models.latents.base import Latent

SHAPE = (1, 2, 2)
N, K = 7, 1_230  # five blocks of the first 1,000, then a part of one of 1,000


class Mixture(Latent):
    """A posterior that has only ``sample`` and ``log_prob``, and cannot be taken apart."""

    code_features = 2

    def __init__(self, in_features):
        super().__init__()
        self.loc = nn.Linear(in_features, 4)

    def forward(self, features):
        components = Independent(Normal(self.loc(features).view(-1, 2, 2), 1.0), 1)
        return MixtureSameFamily(Categorical(torch.ones(len(features), 2)), components)

    def prior(self):
        return Independent(Normal(torch.zeros(2), 1.0), 1)


class Scaled(Laplace):
    """A family with an argument that is no parameter."""

    def __init__(self, loc, scale, times=1.0, validate_args=None):
        super().__init__(loc, scale * times, validate_args=validate_args)


def toy(latent, *sizes):
    torch.manual_seed(0)
    encoder = MLPEncoder(SHAPE, [6])
    layer = latent(6, *sizes)
    return VAE(encoder, layer, Bernoulli(MLPDecoder(layer.code_features, SHAPE, hidden=[6]))).hard


EVERY = {name: lambda f=f: toy(f, 3) for name, f in (LATENTS | FAMILIES).items()}
EVERY["own"] = lambda: toy(Mixture)


@pytest.fixture
def x():
    return torch.rand(N, *SHAPE, generator=torch.Generator().manual_seed(1)).round()


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_the_answer_is_the_same_for_any_chunk_and_any_batches(make, x):
    vae = make()
    whole = vae.log_likelihood(x, K, seed=3)
    for chunk in (37, 450, 100_000):
        torch.testing.assert_close(vae.log_likelihood(x, K, chunk, seed=3), whole)
    parts = [vae.log_likelihood(x[:3], K, seed=3), vae.log_likelihood(x[3:], K, seed=3, first=3)]
    torch.testing.assert_close(torch.cat(parts), whole)
    assert (vae.log_likelihood(x, K, seed=4) != whole).all()
    assert (vae.log_likelihood(x, K, seed=3, first=1) != whole).all()


def codes(vae, x, *args, **options):
    """All latents that are decoded for the only image, (K, *event)."""
    seen, decode = [], vae.decode
    vae.decode = lambda z: seen.append(z) or decode(z)
    vae.log_likelihood(x, *args, **options)
    del vae.decode
    return torch.cat(seen).squeeze(1)


@pytest.mark.parametrize("name", ["gaussian", "gamma", "von_mises", "own"])
def test_no_sample_is_drawn_twice_and_few_are_the_first_of_many(x, name):
    vae = EVERY[name]()
    many = codes(vae, x[:1], 3_050, seed=0)
    assert len(many) == 3_050 and len(many.unique(dim=0)) == 3_050
    for k in (1, 10, 11, 30, 99, 101, 1_000, 1_001, 2_500):
        assert torch.equal(codes(vae, x[:1], k, seed=0), many[:k])
    other = codes(vae, x[:1], 3_050, seed=0, first=1)
    assert len(torch.cat([many, other]).unique(dim=0)) == 6_100


def test_without_a_seed_it_follows_from_the_global_generator_and_uses_up_one_number(x):
    vae = EVERY["gaussian"]()
    states, values = [], []
    for k in (10, 1_500):
        torch.manual_seed(5)
        values.append([vae.log_likelihood(x, k), vae.log_likelihood(x, k)])
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
    torch.manual_seed(5)
    assert torch.equal(vae.log_likelihood(x, 1_500), values[1][0])
    assert (values[1][0] != values[1][1]).all()


@pytest.mark.parametrize("name", sorted((LATENTS | FAMILIES).keys()))
def test_every_family_of_the_library_is_taken_apart(x, name):
    q = EVERY[name]().posterior(x)
    some = select(q, slice(2, 5))
    assert some.batch_shape == (3,)
    for key, value in parameters(q).items():
        torch.testing.assert_close(parameters(some)[key], value[2:5])


def test_families_that_their_parameters_do_not_fix_are_not_taken_apart(x):
    loc = torch.zeros(4, 3)
    for q in (Scaled(loc, 1.0, times=2.0), Mixture(2)(torch.ones(4, 2)), Unbroadcast(loc)):
        with pytest.raises(NotImplementedError):
            select(q, slice(0, 1))
        with pytest.raises(NotImplementedError):
            select(Independent(q, 0), slice(0, 1))


class Unbroadcast(Normal):
    """A family whose scale may lack the batch's dimension."""

    def __init__(self, loc, scale=None, validate_args=None):
        super().__init__(loc, 1.0, validate_args=validate_args)
        self.scale = torch.ones(loc.shape[-1])
