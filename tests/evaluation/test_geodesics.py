"""Chains on spheres: what they leave unchanged, and bounds and quadrature that agree."""

import pytest
import torch
from torch import Size
from torch.distributions import Independent

from vae.distributions.power_spherical import HypersphericalUniform, PowerSpherical
from vae.evaluation.ais import ais
from vae.evaluation.annealing import Bridge, temperatures_of
from vae.evaluation.exact import known_log_likelihood, why_not_known
from vae.evaluation.geodesics import GeodesicHMC, along_great_circle, tangent
from vae.evaluation.transitions import Density, transition_of
from vae.evaluation.units import unit_kl, unit_means
from vae.models.latents.power_spherical import PowerSphericalLatent
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.vae import VAE


def target(concentration=6.0):
    loc = torch.nn.functional.normalize(torch.tensor([[0.3, -1.0, 0.5], [1.0, 0.0, -2.0]]), dim=-1)
    return Independent(PowerSpherical(loc, torch.tensor([concentration, 0.5])), 1)


def test_great_circles_come_back_when_the_velocity_is_turned():
    torch.manual_seed(0)
    z = target().sample(Size([4, 5]))
    v, time = tangent(torch.randn_like(z), z), torch.tensor(0.7)
    there, velocity = along_great_circle(z, v, time)
    assert ((there * velocity).sum(-1).abs() < 1e-5).all()
    assert (velocity.norm(dim=-1) - v.norm(dim=-1)).abs().max() < 1e-5
    back, _ = along_great_circle(there, -velocity, time)
    assert (back - z).abs().max() < 1e-5


@pytest.mark.parametrize("width", [0.3, 1.0])
def test_exact_samples_stay_exact(width, assert_mean):
    q, chains = target(), 20_000
    z = q.sample(Size([chains, 1]))  # (chains, 1, 2, 3)
    batch = q.expand(Size([1]))
    uniform = Independent(HypersphericalUniform(torch.zeros(1, 2, 3)), 1)
    transition = GeodesicHMC().of(uniform, batch).at(1.0)
    density = Density(batch.log_prob)
    for _ in range(3):
        z, acceptance = transition.step(z, density, torch.tensor(width))
        assert 0.2 < acceptance.mean() < 1
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-5
    assert_mean(z[:, 0], q.mean)
    assert_mean((z[:, 0] - q.mean).square(), q.variance)


def test_it_goes_from_the_uniform_distribution_to_another(assert_mean):
    """Many steps from the wrong start reach the target, so that it does move everywhere."""
    q = target().expand(Size([1]))
    uniform = Independent(HypersphericalUniform(torch.zeros(1, 2, 3)), 1)
    transition = GeodesicHMC().of(uniform, q).at(1.0)
    z = uniform.sample(Size([4000]))
    for _ in range(30):
        z, _ = transition.step(z, Density(q.log_prob), torch.tensor(0.5))
    assert_mean(z[:, 0], q.mean[0])


def model(dim, seed=0):
    torch.manual_seed(seed)
    encoder = MLPEncoder((1, 4, 4), [8])
    latent = PowerSphericalLatent(encoder.out_features, 1, dim)
    decoder = MLPDecoder(latent.code_features, (1, 4, 4), hidden=[8])
    return VAE(encoder, latent, Bernoulli(decoder)).eval()


def test_bounds_on_a_circle_meet_quadrature(assert_mean):
    vae, x = model(2), (torch.rand(6, 1, 4, 4) < 0.5).float()
    with torch.no_grad():
        for p in vae.likelihood.parameters():
            p.mul_(2)
    exact = known_log_likelihood(vae, x).log_likelihood
    torch.manual_seed(1)
    angle = 2 * torch.pi * torch.rand(20_000)
    z = torch.stack([angle.cos(), angle.sin()], -1)[:, None, None]
    with torch.no_grad():
        terms = vae.decode(z).log_prob(x)
        plain = terms.logsumexp(0) - torch.tensor(20_000.0).log()
        assert (plain - exact).abs().max() < 0.05  # of the prior, uniform
        assert (vae.log_likelihood(x, 5000, seed=0) - exact).abs().max() < 0.05

    for start in ("q", "prior"):  # the weights have the mean p(x), however few temperatures
        log_weights = ais(Bridge(vae, x, start), temperatures_of(10), 2000).log_weights
        assert_mean((log_weights - exact).exp(), torch.ones(6))


def test_directions_count_as_one_variable_each():
    vae, x = model(4), torch.rand(3, 1, 4, 4).round()
    q = vae.posterior(x)
    kl = unit_kl(vae, q)
    assert kl is not None and kl.value.shape == (3, 1) and not kl.monte_carlo
    assert unit_means(q).value.shape == (3, 1, 4)


def test_a_sphere_has_its_transition_and_says_why_it_has_no_quadrature():
    vae = model(4)
    assert isinstance(transition_of(vae), GeodesicHMC)
    x = torch.zeros(1, 1, 4, 4)
    assert why_not_known(vae, x) == (
        "z is a point of a sphere in 4 dimensions: quadrature is for a circle"
    )
