"""Quadrature, against what is known: linear-Gaussian models, and each family by another rule."""

from functools import partial

import numpy as np
import pytest
import scipy.stats
import torch
from known import linear_gaussian
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    StudentT,
)

from vae import VAE
from vae.evaluation.quadrature import domain_of, expected_nodes, quadrature_log_likelihood
from vae.models.latents.beta import BetaLatent
from vae.models.latents.dirichlet import DirichletLatent
from vae.models.latents.gamma import GammaLatent
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.poisson import PoissonLatent
from vae.models.latents.von_mises import VonMisesLatent
from vae.models.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.prior import Prior

SHAPE = (1, 2, 3)


@pytest.mark.parametrize(
    "latent_dim, scale, orthogonal",
    [(1, 1.0, True), (1, 0.01, True), (2, 0.5, False), (2, 0.05, False)],
)
def test_it_agrees_with_the_exact_answer(latent_dim, scale, orthogonal):
    vae = linear_gaussian(latent_dim, 6, scale, orthogonal)
    _, x = vae.draw(30)
    found = quadrature_log_likelihood(vae, x)
    assert (found.log_likelihood.double() - vae.log_p(x)).abs().max() < 1e-4
    assert found.change.max() < 1e-4
    assert expected_nodes(vae, x) / 4 < found.nodes < 4 * expected_nodes(vae, x)


@pytest.mark.slow  # 4 million nodes
def test_a_posterior_that_is_narrow_in_two_dimensions():
    vae = linear_gaussian(2, 6, 0.01)
    _, x = vae.draw(30)
    found = quadrature_log_likelihood(vae, x, most=2**23)
    assert (found.log_likelihood.double() - vae.log_p(x)).abs().max() < 1e-4


@pytest.mark.parametrize("shift, stretch", [(3.0, 1.0), (0.0, 3.0), (0.0, 0.3)])
def test_a_wrong_encoder_only_costs_nodes(shift, stretch):
    # the first grid is made for posteriors that are elsewhere, wider or narrower
    vae = linear_gaussian(1, 6, 0.1)
    _, x = vae.draw(30)
    vae.set_encoder(shift, stretch)
    found = quadrature_log_likelihood(vae, x)
    assert (found.log_likelihood.double() - vae.log_p(x)).abs().max() < 1e-4


def test_an_image_far_from_the_prior_widens_the_grid():
    vae = linear_gaussian(1, 6, 0.3)
    _, x = vae.draw(5)
    vae.set_encoder(stretch=0.1)
    x = x + 20 * vae.weight.T.view(1, 1, 1, 6).float()  # z about 20 of the prior's scales out
    vae.latent.parameters_of.weight.data.zero_()  # and the encoder does not know
    vae.latent.parameters_of.bias.data[0] = 0.0
    found = quadrature_log_likelihood(vae, x)
    torch.testing.assert_close(found.log_likelihood.double(), vae.log_p(x), rtol=1e-6, atol=1e-4)


def test_it_says_when_it_did_not_get_there():
    vae = linear_gaussian(2, 6, 0.05)
    _, x = vae.draw(5)
    found = quadrature_log_likelihood(vae, x, most=1000)
    assert found.change.max() > 1e-4 and found.nodes <= 1000


def test_images_by_chunks_of_any_size_are_the_same():
    vae = linear_gaussian(2, 6, 0.5)
    _, x = vae.draw(5)
    values = [quadrature_log_likelihood(vae, x, chunk=c).log_likelihood for c in (7, 10_000)]
    torch.testing.assert_close(*values)


def toy(latent, likelihood=Bernoulli, prior=None, size=3.0) -> VAE:
    torch.manual_seed(0)
    layer = latent(6)
    decoder = MLPDecoder(layer.code_features, SHAPE, hidden=[8], channels=likelihood.channels)
    vae = VAE(MLPEncoder(SHAPE, [6]), layer, likelihood(decoder), prior(layer) if prior else None)
    with torch.no_grad():
        for p in decoder.parameters():
            p.mul_(size)
    return vae.eval()


class Mixture(Prior):
    """Of two Gaussians, far apart."""

    def __init__(self, latent):
        super().__init__()

    def forward(self, posterior):
        loc = torch.tensor([[-4.0], [3.0]])
        return MixtureSameFamily(Categorical(torch.ones(2)), Independent(Normal(loc, 0.3), 1))


class HeavyTailed(DiagonalGaussian):
    """A prior with heavy tails, of another family than q."""

    def prior(self) -> Distribution:
        return Independent(StudentT(3.0, torch.zeros(1), torch.ones(1)), 1)


ANGLES = np.linspace(-np.pi, np.pi, 20_001)

# a prior's quantile function, for the rule of means over its quantiles, which shares nothing
QUANTILES = {
    "gaussian": (partial(DiagonalGaussian, latent_dim=1), None, scipy.stats.norm().ppf),
    "mixture": (partial(DiagonalGaussian, latent_dim=1), Mixture, None),
    "heavy": (partial(HeavyTailed, latent_dim=1), None, scipy.stats.t(3).ppf),
    "gamma": (partial(GammaLatent, num_variables=1), None, scipy.stats.gamma(1).ppf),
    "sparse gamma": (
        partial(GammaLatent, num_variables=1, prior_concentration=0.3, prior_rate=2.0),
        None,
        scipy.stats.gamma(0.3, scale=0.5).ppf,
    ),
    "beta": (
        partial(BetaLatent, num_variables=1, prior_concentration1=0.6),
        None,
        scipy.stats.beta(0.6, 1).ppf,
    ),
    "von mises": (
        partial(VonMisesLatent, num_variables=1, prior_concentration=3.0),
        None,
        lambda u: np.interp(u, scipy.stats.vonmises(3.0).cdf(ANGLES), ANGLES),
    ),
    "dirichlet": (
        partial(DirichletLatent, num_variables=1, num_categories=2, prior_concentration=2.0),
        None,
        scipy.stats.beta(2, 2).ppf,
    ),
}


def mixture_quantiles(u):
    both = [scipy.stats.norm(loc, 0.3).ppf(u) for loc in (-4.0, 3.0)]
    return torch.stack([torch.as_tensor(z) for z in both]).flatten()


@pytest.mark.parametrize("likelihood", [Bernoulli, Gaussian, ContinuousBernoulli])
@pytest.mark.parametrize("name", QUANTILES)
def test_every_continuous_family(name, likelihood):
    latent, prior, quantiles = QUANTILES[name]
    # a rule of quantiles sees nothing of a posterior in the tail of the prior
    vae = toy(latent, likelihood, prior, size=1.0 if likelihood is Gaussian else 3.0)
    x = torch.rand(4, *SHAPE)
    x = x.round() if likelihood.binary else x
    u = (torch.arange(20_000).double() + 0.5) / 20_000
    z = torch.as_tensor(quantiles(u) if quantiles else mixture_quantiles(u))[:, None]
    z = torch.stack([z, 1 - z], -1) if name == "dirichlet" else z
    with torch.no_grad():
        log_p = vae.decode(z.float()[:, None]).log_prob(x).double()
    expected = log_p.logsumexp(0) - torch.tensor(len(z)).log()
    found = quadrature_log_likelihood(vae, x)
    assert found.change.max() < 1e-4
    torch.testing.assert_close(found.log_likelihood.double(), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "latent",
    [
        partial(DirichletLatent, num_variables=1, num_categories=3),
        partial(DirichletLatent, num_variables=2, num_categories=2),
        partial(VonMisesLatent, num_variables=2),
        partial(GammaLatent, num_variables=2),
        partial(BetaLatent, num_variables=2),
    ],
)
def test_two_dimensions_against_importance_sampling(latent):
    vae = toy(latent)
    x = torch.rand(4, *SHAPE).round()
    found = quadrature_log_likelihood(vae, x)
    assert found.change.max() < 1e-4
    with torch.no_grad():
        z = vae.prior().sample((50_000,))
        weight = (vae.decode(z[:, None]).log_prob(x) - found.log_likelihood).double().exp()
    error = (weight.mean(0) - 1) / (weight.std(0) / 50_000**0.5)
    assert error.abs().max() < 5  # of 4, false alarms 2e-6


@pytest.mark.parametrize(
    "latent, said",
    [
        (partial(DiagonalGaussian, latent_dim=3), "z has 3 dimensions"),
        (partial(DirichletLatent, num_variables=1, num_categories=4), "z has 3 dimensions"),
        (partial(OneHot, num_variables=1, num_categories=2), "no density to integrate"),
        (partial(PoissonLatent, num_variables=1), "no density to integrate"),
    ],
)
def test_what_it_cannot_integrate_it_says(latent, said):
    with pytest.raises(NotImplementedError, match=said):
        domain_of(toy(latent), torch.zeros(1, *SHAPE))
