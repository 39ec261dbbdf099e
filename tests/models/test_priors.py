"""Mixture, VampPrior, autoregressive and flow priors: normalised, sampled as their density says.

Statistical tests are seeded; FALSE_ALARM_RATE is that of each.
"""

import sys
from functools import partial

import pytest
import torch
from combining import composed
from conftest import FALSE_ALARM_RATE
from scipy.stats import chi2
from small import fit

from vae.data.digits import DigitsDataModule
from vae.distributions.operations import support
from vae.models.catalogue import LATENTS, PRIORS
from vae.models.composition import compose
from vae.models.latents import (
    BetaLatent,
    Binary,
    DiagonalGaussian,
    DirichletLatent,
    GammaLatent,
    OneHot,
    PoissonLatent,
)
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.priors import AutoregressivePrior, FlowPrior, MixturePrior, VampPrior
from vae.objectives import ELBO
from vae.training.module import VAEModule

DISCRETE = {
    "one_hot": lambda: OneHot(4, num_variables=3, num_categories=3),
    "binary": lambda: Binary(4, num_variables=4),
}


def drawn(prior):
    """With parameters that are drawn, so that nothing is uniform."""
    for p in prior.parameters():
        torch.nn.init.normal_(p)
    return prior


# Autoregressive --------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (8,), (5, 8)], ids=str)
@pytest.mark.parametrize("latent", DISCRETE)
def test_the_autoregressive_prior_is_normalised_and_sampled_as_it_says(latent, hidden):
    p = drawn(AutoregressivePrior(DISCRETE[latent](), hidden))(None)
    z = support(p)
    probs = p.log_prob(z).exp().double()
    assert abs(probs.sum() - 1) < 1e-5 and probs.min() < 0.3 * probs.max()
    samples = p.sample((20_000,))
    counts = torch.stack([(samples == v).flatten(1).all(1).sum() for v in z])
    likely = probs * len(samples) >= 5
    expected = torch.cat([probs[likely], probs[~likely].sum()[None]]) * len(samples)
    seen = torch.cat([counts[likely], counts[~likely].sum()[None]])
    kept = expected >= 5
    statistic = ((seen - expected) ** 2 / expected)[kept].sum()
    assert statistic < chi2.isf(FALSE_ALARM_RATE, int(kept.sum()))


@pytest.mark.parametrize("latent", DISCRETE)
def test_a_variable_depends_on_all_before_it_and_on_no_other(latent):
    prior = drawn(AutoregressivePrior(DISCRETE[latent](), (40,)))
    z = torch.rand(prior.uniform.shape)
    jacobian = torch.autograd.functional.jacobian(prior.conditional, z)
    N = len(z)
    touched = jacobian.reshape(N, z[0].numel(), N, -1).abs().sum((1, 3)) > 0
    assert torch.equal(touched, torch.ones(N, N).tril(-1) > 0)


def test_the_autoregressive_prior_starts_uniform_and_is_differentiable_in_z():
    prior = AutoregressivePrior(OneHot(4, num_variables=3, num_categories=3))
    z = torch.rand(5, 3, 3).softmax(-1).requires_grad_()
    value = prior(None).log_prob(z)
    torch.testing.assert_close(value, torch.full((5,), -3 * torch.log(torch.tensor(3.0))))
    (gradient,) = torch.autograd.grad(drawn(prior)(None).log_prob(z).sum(), z)
    assert gradient.isfinite().all() and (gradient != 0).float().mean() > 0.9


# Mixture ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "latent",
    [
        partial(DiagonalGaussian, latent_dim=2),
        partial(BetaLatent, num_variables=2),
        partial(GammaLatent, num_variables=2),
        partial(DirichletLatent, num_variables=2, num_categories=3),
        partial(PoissonLatent, num_variables=2),
        partial(OneHot, num_variables=2, num_categories=3),
    ],
    ids=lambda made: made.func.__name__,
)
def test_the_mixture_is_the_weighted_mean_of_components_of_the_latents_family(latent):
    layer = latent(4)
    prior = MixturePrior(layer, num_components=3)
    torch.nn.init.normal_(prior.logits)
    p, own = prior(None), layer.prior()
    assert p.event_shape == own.event_shape
    assert type(p.component_distribution.base_dist) is type(own.base_dist)
    z = p.sample((7,))
    each = torch.stack([p.component_distribution.log_prob(z[i]) for i in range(7)])
    expected = (each + prior.logits.log_softmax(0)).logsumexp(-1)
    torch.testing.assert_close(p.log_prob(z), expected)
    gradients = torch.autograd.grad(p.log_prob(z).sum(), list(prior.parameters()))
    assert all((g != 0).any() for g in gradients)


# VampPrior -------------------------------------------------------------------------------------


def vamp_module(**options):
    return VAEModule(
        image_shape=(1, 8, 8),
        encoder=partial(MLPEncoder, hidden=[16]),
        decoder=partial(MLPDecoder, hidden=[16]),
        latent=partial(DiagonalGaussian, latent_dim=2),
        prior=partial(VampPrior, num_components=5, **options),
        objective=ELBO(analytic_kl=False),
        test_samples=0,
    )


def test_the_vamp_prior_is_the_mean_of_the_posteriors_of_its_images():
    vae = vamp_module().vae
    z = torch.randn(7, 2)
    each = torch.stack([vae.posterior(u[None]).log_prob(z) for u in vae.own_prior.pseudo_inputs()])
    torch.testing.assert_close(vae.prior().log_prob(z), each.logsumexp(0) - torch.tensor(5).log())
    value = vae.prior().log_prob(z).sum()
    inputs, encoder = torch.autograd.grad(
        value, [vae.own_prior.pixels, next(vae.encoder.parameters())]
    )
    assert (inputs != 0).any() and (encoder != 0).any()


def test_pseudo_inputs_start_from_training_images_once(tmp_path):
    module = vamp_module(start="data")
    trainer = fit(module, tmp_path / "a", steps=1)
    data = DigitsDataModule()
    data.setup("fit")
    seen = module.vae.own_prior.pseudo_inputs()
    fixed = vamp_module(start="data", learned=False)
    fit(fixed, tmp_path / "b", steps=30)
    first = fixed.vae.own_prior.pseudo_inputs()
    assert (seen - first).abs().max() < 0.01  # one step of Adam
    images = next(data.loader("train", "cpu", batch_size=5, limit=5).batches())
    agree = (images.clamp(0.01, 0.99) - first).abs() < 1e-4
    assert agree.all()
    assert fixed.vae.own_prior.needed_images() == 0
    moved = fixed.vae.own_prior.pixels.clone()
    fit(fixed, tmp_path / "c", steps=1)  # goes on: it does not start anew
    assert torch.equal(fixed.vae.own_prior.pixels, moved)
    assert trainer.global_step == 1


# Flow ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", ["NSF", "MAF", "NICE"])
def test_a_flow_prior_is_normalised(flow):
    prior = FlowPrior(DiagonalGaussian(4, latent_dim=2), flow, transforms=2, hidden=(8,))
    line = torch.linspace(-9, 9, 301)
    z = torch.cartesian_prod(line, line)
    total = prior(None).log_prob(z).exp().sum() * 0.06**2
    assert abs(total - 1) < 2e-3


def test_a_flow_prior_of_latents_in_an_interval_stays_there():
    prior = FlowPrior(BetaLatent(4, num_variables=2), transforms=2, hidden=(8,))
    line = (torch.arange(400) + 0.5) / 400
    p = prior(None)
    assert abs(p.log_prob(torch.cartesian_prod(line, line)).exp().mean() - 1) < 1e-2
    z = p.sample((1000,))
    assert 0 <= z.min() and z.max() <= 1 and p.support.check(z).all()


# Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: AutoregressivePrior(DiagonalGaussian(4)), "over one-hot or binary latents"),
        (lambda: AutoregressivePrior(Binary(4), (0,)), "hidden must be at least 1, got 0"),
        (lambda: FlowPrior(OneHot(4)), "over real vectors, and the prior of OneHot is"),
        (lambda: FlowPrior(DiagonalGaussian(4), "NSFF"), "no flow 'NSFF': it has BPF, CNF"),
        (lambda: FlowPrior(DiagonalGaussian(4), "NCSF"), "NCSF is over other vectors than all"),
        (
            lambda: FlowPrior(DiagonalGaussian(4), options={"bin": 3}),
            "zuko.flows.NSF: .*unexpected keyword argument 'bin'",
        ),
        (lambda: MixturePrior(DiagonalGaussian(4), 0), "num_components must be at least 1"),
        (lambda: VampPrior(DiagonalGaussian(4), 5, learned=False), "start from data: start=data"),
    ],
)
def test_what_makes_no_sense_is_one_line(make, said):
    with pytest.raises(ValueError, match=said) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("prior", [MixturePrior, AutoregressivePrior])
def test_a_learned_prior_that_another_prior_replaces_is_refused(prior):
    latent = partial(Binary, num_variables=3, learned_prior=True)
    said = "learned_prior of Binary: another prior is given.*leave out one of the two$"
    with pytest.raises(ValueError, match=said):
        compose((1, 4, 4), latent=latent, prior=prior, objective=ELBO(2, analytic_kl=False))


def test_without_zuko_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(
        ValueError,
        match=r"^flows need the library zuko: pip install zuko \(in a clone: pip install '.\[flows\]'\)$",
    ):
        FlowPrior(DiagonalGaussian(4))


# Without memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("latent", ["gaussian", "beta", "flow", "one_hot", "vq", "fsq"])
@pytest.mark.parametrize("prior", [None, *PRIORS])
def test_a_model_is_counted_before_there_is_memory_for_it(latent, prior):
    """As the command line does, on a device without values."""
    kinds = LATENTS[latent].kinds
    if prior is not None and not set(kinds) & set(PRIORS[prior].kinds):
        return
    here = composed(latent, prior, "bernoulli")
    with torch.device("meta"):
        there = composed(latent, prior, "bernoulli")
    assert all(p.is_meta for p in there.parameters())
    shapes = [{n: p.shape for n, p in made.named_parameters()} for made in (here, there)]
    assert shapes[0] == shapes[1]
