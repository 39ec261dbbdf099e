"""Priors of one's own: a mixture, and one made of posteriors. What is estimated of them, against
quadrature; false-alarm rates as in conftest.py."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from small import fit, logged
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    StudentT,
)

from vae.estimators import Pathwise, ScoreFunction
from vae.evaluation.exact import exact_log_likelihood
from vae.evaluation.terms import elbo_terms
from vae.models.latents.base import Latent
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.prior import Posterior, Prior
from vae.models.vae import VAE
from vae.objectives import ELBO, IWAE
from vae.training.module import VAEModule

SHAPE = (1, 2, 2)


class Mixture(Prior):
    """Of Gaussians with learned means and weights."""

    def __init__(self, latent: Latent, num_components: int = 3) -> None:
        super().__init__()
        (size,) = latent.prior().event_shape
        self.loc = nn.Parameter(2 * torch.randn(num_components, size))
        self.weights = nn.Parameter(torch.randn(num_components))

    def forward(self, posterior: Posterior) -> Distribution:
        components = Independent(Normal(self.loc, 0.5), 1)
        return MixtureSameFamily(Categorical(logits=self.weights), components)


class VampPrior(Prior):
    """The mean of the posteriors of learned images."""

    def __init__(self, latent: Latent, num_images: int = 3) -> None:
        super().__init__()
        self.images = nn.Parameter(torch.rand(num_images, *SHAPE))

    def forward(self, posterior: Posterior) -> Distribution:
        components = posterior(self.images.clamp(0, 1))
        return MixtureSameFamily(Categorical(logits=torch.zeros(len(self.images))), components)


class Shifted(Prior):
    """Of the latent layer's family: its KL has a closed form."""

    def __init__(self, latent: Latent) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.ones(latent.prior().event_shape))

    def forward(self, posterior: Posterior) -> Distribution:
        return Independent(Normal(self.loc, 1.0), 1)


class HeavyTailed(DiagonalGaussian):
    """A latent layer whose KL nobody has registered."""

    def forward(self, features: Tensor) -> Distribution:
        q = super().forward(features)
        return Independent(StudentT(5.0, q.mean, q.stddev), 1)


def toy(prior: type[Prior] | None, latent_class: type[Latent] = DiagonalGaussian) -> VAE:
    """With one latent variable, so that quadrature is exact."""
    latent = latent_class(6, 1)
    likelihood = Bernoulli(MLPDecoder(1, SHAPE, hidden=[6]))
    with torch.no_grad():
        for p in [*latent.parameters(), *likelihood.parameters()]:
            p.mul_(3)
    return VAE(MLPEncoder(SHAPE, [6]), latent, likelihood, prior and prior(latent))


def grid() -> tuple[Tensor, float]:
    z = torch.linspace(-15, 15, 6001)
    return z[:, None, None], 30 / 6000  # (S, B, event)


@pytest.fixture
def x() -> Tensor:
    return torch.tensor([0.0, 1.0, 1.0, 0.0]).view(1, *SHAPE)


PRIORS = pytest.mark.parametrize("prior", [Mixture, VampPrior])


@PRIORS
def test_the_estimated_rate_has_the_mean_that_quadrature_gives(prior, x, assert_mean):
    vae = toy(prior)
    z, dz = grid()
    with torch.no_grad():
        q, p = vae.posterior(x), vae.prior()
        truth = (q.log_prob(z).exp() * (q.log_prob(z) - p.log_prob(z))).sum() * dz
    terms = elbo_terms(vae, x.expand(20_000, *SHAPE))
    assert terms.monte_carlo and terms.named().keys() == {"elbo", "rate_mc", "distortion"}
    assert truth > 0.03
    assert_mean(terms.rate, truth)


@PRIORS
def test_the_log_likelihood_is_that_of_the_own_prior(prior, x, assert_mean):
    vae = toy(prior)
    z, dz = grid()
    with torch.no_grad():
        log_joint = vae.prior().log_prob(z) + vae.decode(z).log_prob(x)
        truth = (log_joint.double().exp().sum() * dz).log()
        plain = VAE(vae.encoder, vae.latent, vae.likelihood)
        other = plain.prior().log_prob(z) + plain.decode(z).log_prob(x)
        assert ((other.exp().sum() * dz).log() - truth).abs() > 0.02
    ratio = (vae.log_likelihood(x.expand(20_000, *SHAPE), 20) - truth).exp()
    assert_mean(ratio, 1.0)


@PRIORS
@pytest.mark.parametrize("estimator", [Pathwise(), ScoreFunction()], ids=["pathwise", "score"])
@pytest.mark.parametrize("objective", [ELBO(2, analytic_kl=False), IWAE(2)], ids=["elbo", "iwae"])
def test_own_priors_are_trained(prior, estimator, objective, x):
    vae = toy(prior)
    before = {name: p.detach().clone() for name, p in vae.named_parameters()}
    x = x.expand(30, *SHAPE)
    optimizer = torch.optim.Adam(vae.parameters(), 0.02)
    start = elbo_terms(vae, x, 100).elbo.mean()
    for _ in range(60):
        optimizer.zero_grad()
        bound = estimator(
            vae.posterior(x), lambda z, q: objective.integrand(vae, x, z, q), objective
        ).bound
        (-bound.mean()).backward()
        optimizer.step()
    assert elbo_terms(vae, x, 100).elbo.mean() > start + 0.5
    for name, p in vae.named_parameters():
        moved = not name.startswith("latent.prior_")
        assert torch.equal(p, before[name]) != moved, name
    assert vae.decode(vae.prior().sample((7,))).mean.shape == (7, *SHAPE)


def test_a_prior_of_the_same_family_keeps_the_closed_form(x):
    vae = toy(Shifted)
    terms = elbo_terms(vae, x)
    loc, scale = vae.posterior(x).mean, vae.posterior(x).stddev
    by_hand = ((scale**2 + (loc - 1) ** 2 - 1) / 2 - scale.log()).sum(-1)
    assert not terms.monte_carlo and "rate" in terms.named()
    torch.testing.assert_close(terms.rate, by_hand.detach())


@pytest.mark.parametrize("prior", [None, Mixture])
def test_a_latent_whose_kl_is_not_registered_has_an_estimated_rate(prior, x, assert_mean):
    vae = toy(prior, HeavyTailed)
    terms = elbo_terms(vae, x.expand(20_000, *SHAPE))
    with torch.no_grad():
        q, p, z = vae.posterior(x), vae.prior(), torch.linspace(-200, 200, 400_001)[:, None, None]
        truth = (q.log_prob(z).exp() * (q.log_prob(z) - p.log_prob(z))).sum() * 1e-3
    assert terms.monte_carlo
    assert_mean(terms.rate, truth)


@pytest.mark.parametrize(
    ("vae", "families"),
    [
        (lambda: toy(Mixture), r"Independent\(Normal, 1\) and MixtureSameFamily"),
        (
            lambda: toy(None, HeavyTailed),
            r"Independent\(StudentT, 1\) and Independent\(Normal, 1\)",
        ),
    ],
)
def test_the_analytic_kl_says_what_to_use_instead(vae, families, x):
    vae, objective = vae(), ELBO()
    with pytest.raises(NotImplementedError, match=f"{families} has no closed.*analytic_kl=False"):
        objective.penalty(vae, vae.posterior(x))


def test_a_run_names_an_estimated_rate_in_every_split(tmp_path):
    module = VAEModule(
        image_shape=(1, 8, 8),
        encoder=partial(MLPEncoder, hidden=[6]),
        decoder=partial(MLPDecoder, hidden=[6]),
        latent=partial(DiagonalGaussian, latent_dim=2),
        prior=Mixture,
        objective=ELBO(analytic_kl=False),
        test_samples=3,
    )
    trainer = fit(module, tmp_path, steps=5, log_every=5, val_check_interval=5)
    metrics = trainer.test(module, trainer.datamodule, verbose=False)[0]
    assert {"test/elbo", "test/rate_mc", "test/distortion"} <= metrics.keys()
    logged_names = {name for row in logged(tmp_path) for name in row} | metrics.keys()
    assert {"train/rate_mc", "val/rate_mc"} <= logged_names
    assert not {"train/rate", "val/rate", "test/rate"} & logged_names


@pytest.mark.parametrize("prior", [Mixture, VampPrior])
def test_the_analytic_kl_is_refused_before_training(prior):
    with pytest.raises(
        NotImplementedError, match="has no closed form.*analytic_kl=False"
    ) as error:
        VAEModule(image_shape=SHAPE, latent=partial(DiagonalGaussian, latent_dim=2), prior=prior)
    assert "\n" not in str(error.value)


def test_relaxed_latents_have_no_other_prior():
    latent = RelaxedOneHot(6, 2, 3)
    with pytest.raises(ValueError, match="RelaxedOneHot.*Shifted.*use OneHot, or leave out"):
        VAE(
            MLPEncoder(SHAPE, [6]),
            latent,
            Bernoulli(MLPDecoder(6, SHAPE, hidden=[6])),
            Shifted(latent),
        )


def test_discrete_latents_with_a_prior_of_their_own_are_summed_over_exactly(x):
    class Certain(Prior):
        def __init__(self, latent: Latent) -> None:
            super().__init__()

        def forward(self, posterior: Posterior) -> Distribution:
            base = Binary(6, 1).prior().base_dist
            return Independent(type(base)(logits=torch.full((1,), 30.0)), 1)

    vae = toy(Certain, Binary)
    expected = vae.decode(torch.ones(1, 1, 1)).log_prob(x)[0]
    torch.testing.assert_close(exact_log_likelihood(vae, x), expected.detach())


def test_checkpoints_hold_the_prior():
    vae = toy(VampPrior)
    assert "own_prior.images" in vae.state_dict()
    assert not any("own_prior" in name for name in toy(None).state_dict())
