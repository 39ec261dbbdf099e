"""Hamiltonian Monte Carlo leaves its target unchanged, in every continuous family."""

import pytest
import torch
from torch.distributions import Categorical as Mix
from torch.distributions import Independent, MixtureSameFamily, Normal

from vae.distributions import gamma, normal, von_mises
from vae.distributions.operations import rebuild
from vae.evaluation.hmc import HMC, coordinates, spread
from vae.evaluation.transitions import Density

T = torch.tensor
TARGETS = {
    "gaussian": (normal.Normal(T([1.0, -2.0]), T([0.5, 3.0])), 1.1),
    "gamma": (gamma.Gamma(T([0.7, 4.0]), T([2.0, 1.0])), 1.0),
    "beta": (gamma.Beta(T([0.7, 4.0]), T([2.0, 1.5])), 1.0),
    "dirichlet": (gamma.Dirichlet(T([[0.7, 4.0, 1.0], [1.0, 1.0, 2.0]])), 0.7),
    "von_mises": (von_mises.VonMises(T([1.0, 3.0]), T([0.5, 4.0])), 1.0),
}


def target(name):
    base, width = TARGETS[name]
    q = Independent(rebuild(base), 1, validate_args=False)  # which checks nothing
    return q.expand((1,)), T(width)


def features(z):  # what the decoder of an angle reads is its sine and cosine: any angle has one
    return torch.cat([z, z.square(), z.sin(), z.cos()], -1)


def density(q, hmc):
    return Density(lambda u: q.log_prob(hmc.latent(u)) + hmc.log_volume(u))


@pytest.mark.parametrize("name", TARGETS)
def test_hmc_leaves_its_target_unchanged(name, assert_mean):
    q, width = target(name)
    hmc = HMC(leapfrog=3).of(q, q)
    chains = 20_000
    z = q.sample((chains,))  # (chains, 1, *event)
    truth = features(q.sample((500_000,)))
    u, acceptances = hmc.state(z), []
    for _ in range(4):
        u, acceptance = hmc.step(u, density(q, hmc), width)
        acceptances.append(acceptance)
    acceptance = torch.stack(acceptances)
    assert acceptance.shape == (4, chains, 1) and 0.5 < acceptance.mean() < 0.97
    moved = features(hmc.latent(u))
    if name == "von_mises":
        moved, truth = (f.chunk(4, -1)[2:] for f in (moved, truth))
        moved, truth = torch.cat(moved, -1), torch.cat(truth, -1)
    # the truth's own error is a fifth of that of the chains
    assert_mean(moved.flatten(1), truth.double().mean(0).flatten())


@pytest.mark.parametrize("name", TARGETS)
def test_chains_from_one_point_reach_the_target(name, assert_mean):
    q, width = target(name)
    hmc = HMC().of(q, q)
    u = hmc.state(q.sample((1,))).repeat_interleave(1000, 0)
    for _ in range(40):
        u, _ = hmc.step(u, density(q, hmc), width)
    truth = q.sample((100_000,))
    angles = name == "von_mises"
    f = (lambda z: torch.cat([z.sin(), z.cos()], -1)) if angles else (lambda z: z)
    assert_mean(f(hmc.latent(u)).flatten(1), f(truth).double().mean(0).flatten())


@pytest.mark.parametrize("name", TARGETS)
def test_coordinates_reach_the_whole_support_and_their_volume_is_that_of_autograd(name):
    q, _ = target(name)
    hmc = HMC().of(q, q)
    z = q.sample((5,))
    u = hmc.state(z)
    torch.testing.assert_close(hmc.latent(u), z, atol=1e-5, rtol=1e-4)
    free = hmc.latent(u).shape != u.shape  # a simplex has one coordinate less than entries

    def latent(flat):
        z = hmc.latent(flat.view(1, 1, *u.shape[2:]))
        return (z[..., :-1] if free else z).flatten()

    for i in range(5):
        jacobian = torch.autograd.functional.jacobian(latent, u[i, 0].flatten())
        expected = jacobian.det().abs().log()
        volume = hmc.log_volume(u)
        assert volume.shape == (5, 1)
        torch.testing.assert_close(volume[i, 0], expected, atol=1e-3, rtol=1e-3)


def test_steps_are_scaled_by_the_spread_between_start_and_target():
    start = Independent(Normal(torch.zeros(1, 2), 1.0), 1)
    q = Independent(Normal(torch.zeros(1, 2), T([0.1, 1.0])), 1)
    hmc = HMC().of(start, q)
    for beta, narrow in ((0.0, 1.0), (0.5, (0.5 + 50) ** -0.5), (1.0, 0.1)):
        expected = T([[narrow, 1.0]])
        torch.testing.assert_close(hmc.at(beta).scale, expected, atol=0, rtol=0.3)


def test_an_angles_spread_does_not_depend_on_where_the_circle_is_cut():
    q = von_mises.VonMises(T([0.0, 3.14159]), T([100.0, 100.0]))
    torch.testing.assert_close(spread(q, coordinates(q)), T([0.1, 0.1]), atol=0.01, rtol=0)


def test_a_family_that_says_nothing_of_its_support_moves_on_the_whole_line():
    mixture = MixtureSameFamily(
        Mix(logits=torch.zeros(2)), Independent(Normal(T([[-2.0], [2.0]]), 1.0), 1)
    )
    u = torch.randn(3, 1, 1)
    torch.testing.assert_close(coordinates(mixture)(u), u)

    class Silent(Normal):
        support = property(lambda self: (_ for _ in ()).throw(NotImplementedError()))

    torch.testing.assert_close(coordinates(Silent(0.0, 1.0))(u), u)


def test_a_density_that_is_nowhere_keeps_the_chain_where_it_is():
    hmc, u = HMC(), torch.randn(4, 3, 2)
    for bad in (torch.nan, -torch.inf):
        log_density = Density(
            lambda u, bad=bad: torch.where(u == u, bad, u).sum(-1) + 0 * u.sum(-1)
        )
        moved, acceptance = hmc.step(u, log_density, T(0.1))
        assert not acceptance.any() and moved.equal(u)


def test_impossible_arguments_are_refused():
    for options in ({"leapfrog": 0}, {"jitter": 1.0}, {"jitter": -0.1}):
        with pytest.raises(ValueError, match="leapfrog must be at least 1 and jitter in"):
            HMC(**options)
