"""Discrete transitions leave their target unchanged, by the enumerated law.

Chains start from exact samples, so that after any number of steps they must follow the same law:
a chi-square test of independent draws. From a single state they must get there.
"""

import math

import pytest
import torch
from known import Enumerated, small_binary, small_conditional, small_one_hot, small_ranking
from torch import nn
from torch.distributions import Binomial, Categorical, Independent, MixtureSameFamily

from vae import VAE
from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import support
from vae.evaluation.ais import ais
from vae.evaluation.annealing import Bridge, anneal, summed_up, temperatures_of
from vae.evaluation.bdmc import bracket
from vae.evaluation.flips import BinaryFlips, OneHotFlips
from vae.evaluation.gibbs import Gibbs
from vae.evaluation.gradient_flips import GradientFlips
from vae.evaluation.hmc import HMC
from vae.evaluation.redraws import IntegerSteps, Redraws
from vae.evaluation.swaps import Swaps
from vae.evaluation.transitions import Density, transition_of
from vae.models.latents.base import Latent
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.poisson import PoissonLatent
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.prior import Prior

CHAINS = 6_000
CASES = {
    "one-hot-gibbs": (small_one_hot, Gibbs(torch.eye(3))),
    "one-hot-flips": (small_one_hot, OneHotFlips()),
    "one-hot-gradient": (small_one_hot, GradientFlips(one_hot=True)),
    "one-hot-redraws": (small_one_hot, Redraws()),
    "subset-swaps": (small_conditional, Swaps()),
    "subset-redraws": (small_conditional, Redraws()),
    "ranking-swaps": (small_ranking, Swaps()),
    "binary-gibbs": (small_binary, Gibbs(torch.tensor([0.0, 1.0]))),
    "binary-flips": (small_binary, BinaryFlips()),
    "binary-gradient": (small_binary, GradientFlips(one_hot=False)),
    "binary-redraws": (small_binary, Redraws()),
}


def tempered(known, x, start, beta):
    """The enumerated law at an inverse temperature, (S, B)."""
    log_start = known.q(x).log() if start == "q" else known.log_prior[:, None]
    return ((1 - beta) * log_start + beta * known.log_joint(x)).softmax(0)


def stepped(bridge, beta, z, steps, width=1.0):
    for _ in range(steps):
        with torch.no_grad():
            transition = bridge.transition.at(beta)
            z, accepted = transition.step(z, bridge.at(beta), torch.tensor(width))
        assert accepted.shape == z.shape[:2] and accepted.min() >= 0 and accepted.max() <= 1
    return z


@pytest.fixture
def assert_law(assert_frequencies):
    """States (chains, B, *event) follow a law (S, B) of the values (S, *event); rare ones are one
    cell, with all that is not listed."""

    def check(z, values, law):
        equal = (z.unsqueeze(2) == values).flatten(3).all(-1)  # (chains, B, S)
        place = torch.where(equal.any(-1), equal.int().argmax(-1), len(values))
        for b in range(z.shape[1]):
            enough = law[:, b] * len(z) > 10
            last = int(enough.sum())
            cells = torch.where(enough, enough.cumsum(0) - 1, last)
            probs = torch.zeros(last + 1).double().scatter_add_(0, cells, law[:, b])
            seen = torch.cat([cells, torch.tensor([last])])[place[:, b]]
            if probs[last] * len(z) < 6:  # too few for a cell of their own
                assert (seen == last).sum() < 40
                seen, probs = seen[seen < last], probs[:last] / probs[:last].sum()
            assert_frequencies(seen, probs)

    return check


@pytest.mark.parametrize("start, beta", [("prior", 0.3), ("q", 1.0)])
@pytest.mark.parametrize("case", CASES)
def test_the_law_stays_as_it_was(case, start, beta, assert_law):
    make, transition = CASES[case]
    vae = make()
    known = Enumerated(vae)
    x = known.draw(2)[1]
    law = tempered(known, x, start, beta)
    z = known.z[torch.multinomial(law.T, CHAINS, True).T]
    moved = stepped(Bridge(vae, x, start, transition), beta, z, 3)
    assert moved.shape == z.shape and (moved != z).any()
    assert_law(moved, known.z, law)


@pytest.mark.parametrize("case", CASES)
def test_every_state_is_reached(case, assert_law):
    make, transition = CASES[case]
    vae = make()
    known = Enumerated(vae)
    x = known.draw(2)[1]
    law = tempered(known, x, "q", 0.3)
    least = known.z[law.argmin(0)].expand(2000, *[-1] * known.z.dim())
    assert_law(stepped(Bridge(vae, x, "q", transition), 0.3, least, 20), known.z, law)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("start", ["q", "prior"])
@torch.no_grad()
def test_the_mean_weight_is_the_enumerated_p_of_x_both_ways(case, start, assert_mean):
    make, transition = CASES[case]
    vae = make()
    known = Enumerated(vae)
    x = known.draw(3)[1]
    bridge, betas = Bridge(vae, x, start, transition), temperatures_of(8)
    weights = ais(bridge, betas, chains=400).log_weights
    error = weights - known.log_p(x)
    assert_mean(error.exp(), 1.0)
    assert error.std(0).max() < 1.5
    end = known.z[torch.multinomial(known.true_posterior(x).T, 400, True).T]
    back = summed_up(anneal(bridge, betas.flip(0), torch.ones(9), end)).log_weights
    assert_mean((back + known.log_p(x)).exp(), 1.0)


@pytest.mark.parametrize("make", [small_one_hot, small_binary, small_conditional])
def test_bounds_bracket_the_enumerated_log_likelihood(make):
    vae = make()
    known = Enumerated(vae)
    z, x = known.draw(100)
    found = bracket(Bridge(vae, x, "prior"), z, temperatures_of(30), chains=8)
    below, above = known.log_p(x) - found.lower, found.upper - known.log_p(x)
    for side in (below, above):  # 4.9 standard errors: FALSE_ALARM_RATE, two-sided
        assert side.mean() > -4.9 * side.std() / 10
    assert found.gap.mean() < 0.3


# Counts
# ----------------------------------------------------------------------------------------


class BinomialLatent(Latent):
    """Two counts of up to 4: a family of one's own."""

    def __init__(self, in_features):
        super().__init__()
        self.code_features = 2
        self.logits = nn.Linear(in_features, 2)

    def forward(self, features):
        return Independent(Binomial(4, logits=self.logits(features)), 1)

    def prior(self):
        return Independent(Binomial(4, logits=torch.tensor([0.5, -1.0])), 1)


def counting(latent_class, *sizes):
    torch.manual_seed(3)
    latent = latent_class(4, *sizes)
    likelihood = Bernoulli(MLPDecoder(latent.code_features, (1, 2, 3), hidden=[8]))
    vae = VAE(MLPEncoder((1, 2, 3), [4]), latent, likelihood)
    with torch.no_grad():
        for p in [*likelihood.parameters(), *latent.parameters()]:
            p.mul_(3)
    return vae.eval(), (torch.rand(3, 1, 2, 3) < 0.5).float()


COUNTS = {"poisson": (24, PoissonLatent, 2), "binomial": (4, BinomialLatent)}


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("start", ["q", "prior"])
@pytest.mark.parametrize("width", [0.01, 2.0, None])
@torch.no_grad()
def test_counts_keep_their_law(name, start, width, assert_law):
    most, *latent = COUNTS[name]
    vae, x = counting(*latent)
    transition = Redraws() if width is None else transition_of(vae)
    bridge, beta = Bridge(vae, x, start, transition), 0.7
    values = torch.cartesian_prod(*[torch.arange(most + 1.0)] * 2)
    law = bridge.at(beta)(values[:, None].expand(-1, 3, -1)).double().softmax(0)
    z = values[torch.multinomial(law.T, CHAINS, True).T]
    moved = stepped(bridge, beta, z, 3, width or 1.0)
    assert (moved != z).any() and (moved >= 0).all()
    assert_law(moved, values, law)


def test_without_q_integers_move_in_steps(assert_law):
    vae, _ = counting(BinomialLatent)
    values = torch.cartesian_prod(*[torch.arange(5.0)] * 2)
    law = vae.prior().log_prob(values).double().softmax(0)[:, None].expand(-1, 2)
    z = torch.zeros(CHAINS, 2, 2)
    for _ in range(40):
        z, _ = IntegerSteps(0, 4).step(z, Density(vae.prior().log_prob), torch.tensor(1.0))
    assert_law(z, values, law)


# Which transition
# ----------------------------------------------------------------------------------------


class MixturePrior(Prior):
    def __init__(self, components):
        super().__init__()
        self.components = components

    def forward(self, posterior):
        return MixtureSameFamily(Categorical(torch.ones(2)), self.components)


class SaysNothing(Independent):
    """A family that has log_prob and sample, and no more."""

    @property
    def support(self):
        raise NotImplementedError

    @property
    def mean(self):
        raise NotImplementedError


def test_the_transition_follows_the_support():
    assert isinstance(transition_of(small_one_hot()), OneHotFlips)
    assert isinstance(transition_of(small_binary()), BinaryFlips)
    assert isinstance(transition_of(small_conditional()), Swaps)
    assert isinstance(transition_of(small_ranking()), Swaps)
    steps = transition_of(counting(PoissonLatent, 2)[0])
    assert isinstance(steps, IntegerSteps) and (steps.lower, steps.upper) == (0, math.inf)
    steps = transition_of(counting(BinomialLatent)[0])
    assert isinstance(steps, IntegerSteps) and steps.lower == 0 and (steps.upper == 4).all()
    assert isinstance(transition_of(counting(DiagonalGaussian, 2)[0]), HMC)


@torch.no_grad()
def test_a_mixture_as_the_prior_has_the_transition_of_its_components(assert_mean):
    vae = small_one_hot()
    parts = Independent(OneHotCategorical(logits=torch.randn(2, 3, 3)), 1)
    vae = VAE(vae.encoder, vae.latent, vae.likelihood, MixturePrior(parts))
    assert isinstance(transition_of(vae), OneHotFlips)
    known = Enumerated(vae)
    known.log_prior = vae.prior().log_prob(known.z).double()
    x = known.draw(3)[1]
    weights = ais(Bridge(vae, x, "prior"), temperatures_of(50), chains=400).log_weights
    assert_mean((weights - known.log_p(x)).exp(), 1.0)


@torch.no_grad()
def test_a_family_that_says_nothing_is_redrawn_if_it_is_of_whole_numbers(monkeypatch, assert_mean):
    vae = small_one_hot()
    known = Enumerated(vae)
    x = known.draw(3)[1]
    prior, posterior = vae.prior().base_dist, vae.posterior
    monkeypatch.setattr(vae, "prior", lambda: SaysNothing(prior, 1))
    monkeypatch.setattr(vae, "posterior", lambda x: SaysNothing(posterior(x).base_dist, 1))
    assert isinstance(transition_of(vae, vae.posterior(x)), Redraws)
    # flips without marginals to go by are even
    for transition in (None, OneHotFlips()):
        bridge = Bridge(vae, x, "q", transition)
        weights = ais(bridge, temperatures_of(20), chains=400).log_weights
        assert_mean((weights - known.log_p(x)).exp(), 1.0)


@pytest.mark.parametrize("make, kind", [(small_one_hot, OneHotFlips), (small_conditional, Swaps)])
@torch.no_grad()
def test_each_proposal_is_decoded_once(make, kind, monkeypatch):
    vae = make()
    x = Enumerated(vae).draw(3)[1]
    bridge, calls, decode = Bridge(vae, x, "q", kind(proposals=5)), [], VAE.decode

    def look(self, z):
        calls.append(z)
        return decode(self, z)

    monkeypatch.setattr(VAE, "decode", look)
    ais(bridge, temperatures_of(7), chains=4)
    assert len(calls) == 1 + 5 * 7


@torch.no_grad()
def test_a_family_that_is_no_product_is_redrawn_as_a_whole(monkeypatch, assert_law):
    vae = small_one_hot()
    known = Enumerated(vae)
    x = known.draw(2)[1]
    logits = vae.posterior(x).base_dist.logits
    parts = Independent(OneHotCategorical(logits=torch.stack([logits, -logits], 1)), 1)
    q = MixtureSameFamily(Categorical(torch.ones(2, 2)), parts)
    monkeypatch.setattr(vae, "posterior", lambda x: q)
    law = tempered(known, x, "q", 0.6)
    z = known.z[torch.multinomial(law.T, CHAINS, True).T]
    moved = stepped(Bridge(vae, x, "q", Redraws()), 0.6, z, 3)
    assert (moved != z).flatten(2).any(-1).float().mean() > 0.3
    assert_law(moved, known.z, law)


def test_swaps_keep_the_number_of_ones_and_reach_several_rows(assert_law):
    """Independent subsets: a row is picked, and none is mixed with another."""
    q = Independent(ConditionalBernoulli(2, torch.tensor([[0.5, -1.0, 0.3, 1.2]] * 2)), 1)
    start = q.expand([3])
    joint = support(q)  # (36, 2, 4)
    law = q.log_prob(joint).double().softmax(0)[:, None].expand(-1, 3)
    transition = Swaps().of(start, start)
    z = joint[0].expand(CHAINS, 3, -1, -1)
    for _ in range(5):
        z, _ = transition.step(z, Density(q.log_prob), torch.tensor(1.0))
        assert (z.sum(-1) == 2).all()
    assert_law(z, joint, law)
