"""Annealing: mean weights are p(x), in every family and both ways; what is remembered is right."""

import math

import pytest
import torch
from asked import subject_of
from known import linear_gaussian
from one_variable import QUANTILES, SHAPE, log_p, one_variable
from own_latents import BareLatent, toy
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vae import VAE
from vae.evaluation.ais import AIS, ais
from vae.evaluation.annealing import Bridge, anneal, pilot, summed_up, temperatures_of
from vae.evaluation.bdmc import bracket, simulate
from vae.evaluation.hmc import HMC
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.prior import Prior


@pytest.mark.parametrize("start", ["q", "prior"])
@pytest.mark.parametrize("family", QUANTILES)
def test_the_mean_weight_is_p_of_x(family, start, assert_mean):
    vae = one_variable(family)
    _, x = simulate(vae, 5)
    bridge = Bridge(vae, x, start, HMC(leapfrog=3))
    betas = temperatures_of(6, "linear")
    widths = torch.full((7,), 0.8)
    found = ais(bridge, betas, 1500, widths)
    assert found.log_weights.dtype == torch.float64 and found.log_weights.shape == (1500, 5)
    assert 0.1 < found.acceptance.min() and found.acceptance.max() < 0.995
    assert_mean((found.log_weights - log_p(vae, family, x)).exp(), 1.0)


@pytest.mark.parametrize("family", QUANTILES)
def test_the_mean_weight_of_chains_the_other_way_is_one_over_p_of_x(family, assert_mean):
    vae = one_variable(family)
    z, x = simulate(vae, 3000)
    both = bracket(
        Bridge(vae, x, "prior", HMC(leapfrog=3)), z, temperatures_of(4), 1, torch.full((5,), 0.8)
    )
    assert_mean((both.reverse.log_weights[0] + log_p(vae, family, x)).exp(), 1.0)


@pytest.mark.parametrize("start", ["q", "prior"])
@pytest.mark.parametrize("orthogonal", [True, False])
def test_bounds_bracket_log_p_within_a_twentieth_of_a_nat(start, orthogonal):
    vae = linear_gaussian(3, 10, 0.5, orthogonal=orthogonal)
    vae.set_encoder(shift=1.0, stretch=1.5)  # no good q
    z, x = vae.draw(40)
    steps, chains = {"q": (60, 24), "prior": (150, 80)}[start]
    both = bracket(Bridge(vae, x, start), z, temperatures_of(steps), chains)
    for bound, side in ((both.lower, -1), (both.upper, 1)):
        error = bound - vae.log_p(x)
        se = error.std() / math.sqrt(len(error))
        assert error.mean().abs() < 0.05 and se < 0.03
        assert side * error.mean() > -5 * se  # the bound's side: false alarms below 1e-6
    assert both.gap.mean() < 0.08


def test_one_temperature_is_importance_sampling():
    vae = linear_gaussian()
    _, x = vae.draw(4)
    bridge = Bridge(vae, x)
    u = bridge.sample(50)
    found = summed_up(anneal(bridge, temperatures_of(1), torch.ones(2), u))
    q, prior = vae.posterior(x), vae.prior()
    expected = vae.decode(u).log_prob(x) + prior.log_prob(u) - q.log_prob(u)
    torch.testing.assert_close(found.log_weights, expected.double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        found.log_mean, found.log_weights.exp().mean(0).log(), atol=1e-9, rtol=1e-9
    )
    weights = found.log_weights.exp()
    expected = weights.sum(0).square() / weights.square().sum(0)
    torch.testing.assert_close(found.effective, expected)


@pytest.mark.parametrize("start", ["q", "prior"])
def test_more_temperatures_are_tighter(start):
    vae = linear_gaussian(3, 10, 0.2, orthogonal=False)
    vae.set_encoder(shift=1.0)
    _, x = vae.draw(40)
    bounds = [ais(Bridge(vae, x, start), temperatures_of(T), 4).log_mean for T in (1, 10, 80)]
    short = [(vae.log_p(x) - bound).mean() for bound in bounds]
    assert short[0] > 2 * short[1] > 4 * short[2]


@pytest.mark.parametrize("start", ["q", "prior"])
def test_what_is_remembered_of_the_decoder_is_what_it_would_say(start):
    vae = one_variable("gamma")
    _, x = simulate(vae, 5)
    bridge = Bridge(vae, x, start)
    for moment in anneal(bridge, temperatures_of(5), torch.full((6,), 2.0), bridge.sample(7)):
        assert 0 < moment.acceptance.mean() < 1
        remembered = bridge.slope(moment.u)
        fresh = Bridge(vae, x, start)
        fresh.transition = bridge.transition
        for known, new in zip(remembered, fresh.slope(moment.u.clone()), strict=True):
            torch.testing.assert_close(known, new, atol=1e-4, rtol=1e-4)


def test_the_decoder_is_asked_once_for_each_leapfrog_step(monkeypatch):
    vae, calls, decode = linear_gaussian(), [], VAE.decode
    monkeypatch.setattr(VAE, "decode", lambda self, z: calls.append(z) or decode(self, z))
    _, x = vae.draw(3)
    bridge = Bridge(vae, x, "q", HMC(leapfrog=4))
    calls.clear()
    summed_up(anneal(bridge, temperatures_of(10), torch.ones(11), bridge.sample(2)))
    assert len(calls) == 10 * 4 + 2  # and of the first states, their values and their slopes


def test_no_parameter_collects_a_gradient_and_none_is_needed():
    vae = one_variable("beta")
    _, x = simulate(vae, 2)
    ais(Bridge(vae, x), temperatures_of(3), 2)
    assert all(p.grad is None for p in vae.parameters())
    for p in vae.parameters():
        p.requires_grad_(False)
    assert ais(Bridge(vae, x), temperatures_of(3), 2).log_mean.isfinite().all()


@pytest.mark.parametrize("start", ["q", "prior"])
def test_the_pilot_run_finds_widths_at_which_the_target_is_accepted(start):
    vae = linear_gaussian(3, 10, 0.2, orthogonal=False)
    vae.set_encoder(stretch=3.0)
    _, x = vae.draw(40)
    bridge, betas = Bridge(vae, x, start), temperatures_of(40)
    widths = pilot(bridge, betas)
    assert widths.shape == (41,) and (widths > 0).all()
    found = [
        moment.acceptance.mean() for moment in anneal(bridge, betas, widths, bridge.sample(9))
    ]
    assert (torch.stack(found) - HMC.target).abs().max() < 0.15


def test_temperatures_rise_from_0_to_1():
    for schedule in ("linear", "sigmoid"):
        betas = temperatures_of(50, schedule)
        assert len(betas) == 51 and betas[0] == 0 and betas[-1] == 1
        assert (betas.diff() > 0).all()
    assert betas.diff()[0] < betas.diff()[25] / 4
    with pytest.raises(ValueError, match="temperatures must be at least 1, got 0"):
        temperatures_of(0)


class Pair(Prior):
    """A mixture, which has neither a closed-form KL nor an rsample; it checks its arguments."""

    def __init__(self, latent):
        super().__init__()
        self.register_buffer("loc", torch.tensor([[-2.0], [1.0]]))

    def forward(self, posterior):
        components = Independent(Normal(self.loc, torch.tensor(0.5)), 1)
        return MixtureSameFamily(Categorical(logits=torch.zeros(2)), components)


@pytest.mark.parametrize("start", ["q", "prior"])
def test_latents_of_which_no_more_is_known_than_density_and_samples(start, assert_mean):
    torch.manual_seed(1)
    vae = toy(BareLatent, 1)
    _, x = simulate(vae, 4)
    grid = torch.linspace(-8, 8, 4001)[:, None, None]  # (S, 1, 1)
    with torch.no_grad():
        log_joint = vae.decode(grid).log_prob(x) + vae.prior().log_prob(grid)
    log_evidence = log_joint.double().logsumexp(0) + math.log(16 / 4000)
    found = ais(Bridge(vae, x, start, HMC(3)), temperatures_of(4), 3000, torch.full((5,), 0.7))
    assert_mean((found.log_weights - log_evidence).exp(), 1.0)
    assert AIS().why_not(subject_of(vae, x)) is None


@pytest.mark.parametrize("start", ["q", "prior"])
def test_a_prior_of_ones_own_needs_log_prob_and_sample_only(start, assert_mean):
    plain = one_variable("gaussian")
    latent = plain.latent
    assert isinstance(latent, DiagonalGaussian)
    vae = VAE(plain.encoder, latent, plain.likelihood, Pair(latent)).eval()
    _, x = simulate(vae, 4)
    assert x.shape == (4, *SHAPE)
    grid = torch.linspace(-8, 8, 4001)[:, None, None]  # (S, 1, 1)
    with torch.no_grad():
        log_joint = vae.decode(grid).log_prob(x) + vae.prior().log_prob(grid)
    log_evidence = log_joint.double().logsumexp(0) + math.log(16 / 4000)
    found = ais(Bridge(vae, x, start, HMC(3)), temperatures_of(6), 4000, torch.full((7,), 0.7))
    assert_mean((found.log_weights - log_evidence).exp(), 1.0)
