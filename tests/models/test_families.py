"""The Gamma, Beta, Dirichlet, von Mises and Poisson layers: shapes, priors, densities that
integrate to one, gradients against quadrature, the KL by its closed form against every estimator
of it, and the round trip of their parameters.

Statistical tests are seeded, at a false-alarm rate of 1e-6 each (see conftest.py).
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from every_part import FAMILIES
from torch import Size, Tensor
from torch import distributions as D
from torch.distributions import kl_divergence
from torch.testing import assert_close

from vae.distributions.gamma import Beta, Gamma, Poisson
from vae.distributions.operations import base_of, describe, detach, parameters, rebuild
from vae.distributions.von_mises import VonMises
from vae.estimators import Estimator, LeaveOneOut, Pathwise, ScoreFunction
from vae.models.bound import bound
from vae.models.latents.base import Latent
from vae.models.latents.beta import BetaLatent
from vae.models.latents.dirichlet import DirichletLatent
from vae.models.latents.gamma import GammaLatent
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.vae import VAE
from vae.objectives import ELBO, IWAE

H = 5
LAYERS = {  # options but in_features; the event shape; the code's width
    "gamma": ({"num_variables": 3}, (3,), 3),
    "beta": ({"num_variables": 3}, (3,), 3),
    "dirichlet": ({"num_variables": 2, "num_categories": 3}, (2, 3), 6),
    "von_mises": ({"num_variables": 3}, (3,), 6),
    "poisson": ({"num_variables": 3}, (3,), 3),
}
PATHWISE = ["gamma", "beta", "dirichlet"]
START = {"von_mises": {"prior_concentration": 0.8}}  # learned: not from the uniform prior


def build(name: str, learned_prior: bool = False, **options: float) -> Latent:
    """A float64 layer, away from its start so that q and the prior differ."""
    options = (START.get(name, {}) if learned_prior else {}) | options
    layer = FAMILIES[name](H, **LAYERS[name][0], learned_prior=learned_prior, **options).double()
    for p in layer.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return layer


def features(n: int = 7) -> Tensor:
    return torch.randn(n, H, dtype=torch.float64)


@pytest.fixture(params=LAYERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_layer_is_tested():
    assert LAYERS.keys() == FAMILIES.keys()


@pytest.mark.parametrize("sample_shape", [(), (4,), (4, 2)])
def test_shapes(name, sample_shape):
    layer, (_, event, width) = build(name), LAYERS[name]
    q, p = layer(features()), layer.prior()
    assert (q.batch_shape, q.event_shape) == ((7,), event)
    assert (p.batch_shape, p.event_shape) == ((), event)
    z = q.sample(Size(sample_shape))
    assert layer.code_features == width
    assert layer.code(z).shape == (*sample_shape, 7, width)
    assert p.log_prob(z).shape == q.log_prob(z).shape == (*sample_shape, 7)
    assert layer.kl(q).shape == (7,) and (layer.kl(q) > 0).all()
    assert q.has_rsample == (name in PATHWISE)
    assert layer.hard is layer


def test_features_of_zero_give_the_prior(name):
    for learned in (False, True):
        options = START.get(name, {}) if learned else {}
        layer = FAMILIES[name](H, **LAYERS[name][0], learned_prior=learned, **options).double()
        for n, p in layer.named_parameters():
            if "prior" not in n:
                torch.nn.init.zeros_(p)
        q = layer(features(2))
        assert_close(layer.kl(q), torch.zeros(2, dtype=torch.float64), atol=1e-10, rtol=0)
        layer.kl(q).sum().backward()
        assert all(p.grad.isfinite().all() for p in layer.parameters())  # von Mises: at its pole


@pytest.mark.parametrize("learned_prior", [False, True])
def test_only_a_learned_prior_gets_a_gradient(name, learned_prior):
    layer = build(name, learned_prior)
    assert any("prior" in n for n, _ in layer.named_parameters()) == learned_prior
    assert any("prior" in n for n in layer.state_dict())  # a fixed one is saved with the model
    layer.kl(layer(features())).sum().backward()
    for n, p in layer.named_parameters():
        assert p.grad is not None and (p.grad != 0).any(), n


OPTIONS = {
    "gamma": ({"prior_concentration": 2.5, "prior_rate": 0.5}, 5.0),
    "beta": ({"prior_concentration1": 3.0, "prior_concentration0": 1.0}, 0.75),
    "dirichlet": ({"prior_concentration": 0.4}, 1 / 3),
    "von_mises": ({"prior_concentration": 3.0}, 0.0),
    "poisson": ({"prior_rate": 4.0}, 4.0),
}


def test_the_prior_is_the_one_that_was_asked_for(name):
    options, mean = OPTIONS[name]
    prior = build(name, **options).prior()
    assert_close(prior.mean, torch.full(LAYERS[name][1], mean, dtype=torch.float64))
    found = {f"prior_{n}": v.flatten()[0].item() for n, v in parameters(prior).items()}
    assert {n: found[n] for n in options} == pytest.approx(options)


def test_parameters_stay_above_their_floors_whatever_the_features(name):
    layer = FAMILIES[name](H, **LAYERS[name][0])
    floors = {
        "gamma": {"concentration": 0.1, "rate": 1e-3},
        "beta": {"concentration1": 0.5, "concentration0": 0.5},
        "dirichlet": {"concentration": 0.1},
        "von_mises": {"concentration": 0.0},
        "poisson": {"rate": 1e-3},
    }[name]
    for scale in (1e-4, 1.0, 1e4):
        found = parameters(layer(scale * torch.randn(50, H)))
        for n, floor in floors.items():
            assert found[n].isfinite().all() and (found[n] >= floor).all() and (found[n] > 0).all()


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_single_precision_is_finite_in_value_and_gradient(name, scale):
    layer = FAMILIES[name](H, **LAYERS[name][0])
    q = layer(scale * torch.randn(2000, H))
    z = q.rsample() if q.has_rsample else q.sample()
    total = layer.code(z).square().sum() + (q.log_prob(z) - layer.prior().log_prob(z)).sum()
    total = total + layer.kl(q).sum()
    total.backward()
    assert total.isfinite() and total.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in layer.parameters() if p.grad is not None)


def test_distributions_stay_in_single_precision_under_autocast(name):
    layer = FAMILIES[name](H, **LAYERS[name][0])
    with torch.autocast("cpu", torch.bfloat16):
        q = layer(torch.randn(2, H))
        assert q.sample().dtype == q.log_prob(q.sample()).dtype == torch.float32


def test_codes_are_finite_and_their_derivatives_too_at_the_edge_of_the_support(name):
    event, tiny = LAYERS[name][1], torch.finfo(torch.float32).tiny
    z = torch.full(event, 0.0 if name == "poisson" else tiny, requires_grad=True)
    code = build(name).code(z)
    (grad,) = torch.autograd.grad(code.sum(), z)
    assert code.isfinite().all() and grad.abs().max() <= 100


# Distributions: round trips, densities, samples
# ----------------------------------------------------------------------------------------


def test_parameters_make_the_round_trip(name):
    q = build(name)(features())
    z = q.sample(Size([4]))
    again = rebuild(q, **parameters(q))
    assert type(base_of(again)) is type(base_of(q)) and describe(again) == describe(q)
    assert_close(again.log_prob(z), q.log_prob(z))
    fixed = detach(q)
    assert_close(fixed.log_prob(z), q.log_prob(z).detach())
    assert not any(value.requires_grad for value in parameters(fixed).values())
    assert all(value.requires_grad for value in parameters(q).values())
    assert not fixed.log_prob(z).requires_grad
    wide = q.expand(Size([3, 7]))
    assert type(base_of(wide)) is type(base_of(q))
    assert_close(wide.log_prob(z[:3]), q.log_prob(z[:3]))


def one_variable(name: str, **values: float) -> D.Distribution:
    """A family of FAMILIES with one variable, batch shape ()."""
    base = {"gamma": Gamma, "beta": Beta, "von_mises": VonMises, "poisson": Poisson}[name]
    tensors = {n: torch.tensor(v, dtype=torch.float64) for n, v in values.items()}
    return base(**tensors, validate_args=False)


def grid(name: str) -> tuple[Tensor, Tensor]:
    """Nodes and weights of a quadrature over the support; exact to 1e-10 for what is used here."""
    t = torch.linspace(-60, 60, 40_001, dtype=torch.float64)
    dt = t[1] - t[0]
    if name == "gamma":  # z = e^t
        return t.exp(), t.exp() * dt
    if name == "beta":  # z = sigmoid(t)
        z = t.sigmoid()
        return z, z * (-t).sigmoid() * dt
    if name == "von_mises":  # periodic: the trapezoid rule is spectrally accurate
        z = torch.linspace(-math.pi, math.pi, 2001, dtype=torch.float64)[:-1]
        return z, torch.full_like(z, 2 * math.pi / 2000)
    z = torch.arange(200, dtype=torch.float64)
    return z, torch.ones_like(z)


ONE = {
    "gamma": [{"concentration": 0.6, "rate": 1.7}, {"concentration": 4.0, "rate": 0.8}],
    "beta": [
        {"concentration1": 0.7, "concentration0": 2.5},
        {"concentration1": 5.0, "concentration0": 1.2},
    ],
    "von_mises": [{"loc": 0.4, "concentration": 0.3}, {"loc": -3.0, "concentration": 25.0}],
    "poisson": [{"rate": 0.3}, {"rate": 7.0}],
}
CASES = [(name, values) for name, cases in ONE.items() for values in cases]


def wave(z: Tensor) -> Tensor:
    return torch.sin(2 * z) + 0.3 * torch.cos(z)  # periodic, so that it suits the circle too


@pytest.mark.parametrize(("name", "values"), CASES)
def test_densities_integrate_to_one(name, values):
    q, (z, w) = one_variable(name, **values), grid(name)
    assert_close((q.log_prob(z).exp() * w).sum(), torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "values", "estimator"),
    [
        (name, values, estimator)
        for name, values in CASES
        for estimator in (Pathwise(), ScoreFunction(), ScoreFunction(LeaveOneOut()))
        if name in PATHWISE or not isinstance(estimator, Pathwise)
    ],
)
def test_gradients_of_an_expectation_are_those_of_its_quadrature(
    name, values, estimator, assert_mean
):
    # for Gamma and Beta, pathwise: implicit reparameterization (Figurnov et al., 2018)
    q, (z, w) = one_variable(name, **values), grid(name)
    leaves = {n: v.clone().requires_grad_() for n, v in parameters(q).items()}
    value = (rebuild(q, **leaves).log_prob(z).exp() * wave(z) * w).sum()
    exact = torch.stack([value, *torch.autograd.grad(value, list(leaves.values()))])
    n = 50_000
    leaves = {n_: v.expand(n).clone().requires_grad_() for n_, v in parameters(q).items()}
    bound = estimator(rebuild(q, **leaves), lambda z, q: wave(z), ELBO(2)).bound
    grads = torch.autograd.grad(bound.sum(), list(leaves.values()))
    assert_mean(torch.stack([bound, *grads], 1), exact)


def test_samples_have_the_moments_of_the_density(assert_mean):
    for name, values in CASES:
        q, (z, w) = one_variable(name, **values), grid(name)
        density = q.log_prob(z).exp() * w
        samples = q.sample(Size([50_000]))
        for f in (wave, torch.cos, lambda z: z.sin()):
            assert_mean(f(samples), (density * f(z)).sum())


def test_von_mises_agrees_with_torch_to_the_accuracy_of_its_polynomials():
    k = torch.tensor([1e-3, 0.5, 3.7, 3.8, 50.0, 1e3], dtype=torch.float64, requires_grad=True)
    loc, z = torch.tensor(0.3, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    ours, theirs = (family(loc, k).log_prob(z) for family in (VonMises, D.VonMises))
    assert_close(ours, theirs, rtol=0, atol=1e-6)
    grads = [torch.autograd.grad(log_prob.sum(), k)[0] for log_prob in (ours, theirs)]
    assert_close(*grads, rtol=0, atol=1e-6)


@pytest.mark.parametrize("concentration", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_von_mises_is_finite_in_single_precision(concentration):
    k = torch.tensor(concentration, requires_grad=True)
    q = VonMises(torch.tensor(2.0), k)
    log_prob = q.log_prob(q.sample(Size([1000])))
    (grad,) = torch.autograd.grad(log_prob.sum(), k)
    assert log_prob.isfinite().all() and grad.isfinite()


def test_gradcheck_of_the_von_mises_density_and_kl():
    loc = torch.tensor([0.3, -2.0], dtype=torch.float64, requires_grad=True)
    k = torch.tensor([0.2, 30.0], dtype=torch.float64, requires_grad=True)
    other = VonMises(torch.tensor(1.0, dtype=torch.float64), torch.tensor(2.0).double())
    z = torch.tensor([0.7, 2.5], dtype=torch.float64, requires_grad=True)
    check = torch.autograd.gradcheck
    assert check(lambda l, k, z: VonMises(l, k, validate_args=False).log_prob(z), [loc, k, z])
    assert check(lambda l, k: kl_divergence(VonMises(l, k, validate_args=False), other), [loc, k])
    assert check(lambda l, k: kl_divergence(other, VonMises(l, k, validate_args=False)), [loc, k])


def test_beta_samples_stay_inside_in_single_precision():
    # torch's own clamp, on which IWAE with Beta latents relies
    zero = torch.full((20_000,), BetaLatent.least["concentration0"], requires_grad=True)
    q = Beta(torch.tensor(20.0), zero)
    z = q.rsample()
    assert ((z > 0) & (z < 1)).all() and q.log_prob(z).isfinite().all()
    (grad,) = torch.autograd.grad(q.log_prob(z).sum(), zero)
    assert grad.isfinite().all()


# KL
# ----------------------------------------------------------------------------------------


def kl_gradients(
    layer: Latent, q: D.Distribution, estimator: Estimator | None, n: int, num_samples: int = 1
) -> Tensor:
    """n replicates of the KL and its gradient in the parameters of q and of the prior, (n, 1 +
    P). The batch dimension is the replicate dimension."""
    prior = layer.prior().expand(Size([1]))
    leaves, distributions = [], []
    for d in (q, prior):
        new = {k: v[0].expand(n, *v.shape[1:]).detach().clone() for k, v in parameters(d).items()}
        leaves += [v.requires_grad_() for v in new.values()]
        distributions.append(rebuild(d, **new))
    kl = layer.kl(*distributions, estimator, num_samples)
    grads = torch.autograd.grad(kl.sum(), leaves)
    return torch.cat([kl.detach()[:, None], *(g.flatten(1) for g in grads)], 1)


ESTIMATES = [
    *((name, Pathwise(), k) for name in PATHWISE for k in (1, 3)),
    *((name, ScoreFunction(), 1) for name in LAYERS),
    *((name, ScoreFunction(LeaveOneOut()), 3) for name in LAYERS),
]


@pytest.mark.parametrize(
    ("name", "estimator", "num_samples"),
    ESTIMATES,
    ids=[f"{n}-{type(e).__name__}-{k}" for n, e, k in ESTIMATES],
)
def test_kl_estimates_have_the_mean_of_the_closed_form(name, estimator, num_samples, assert_mean):
    layer = build(name, learned_prior=True)
    q = layer(features(1))
    exact = kl_gradients(layer, q, None, 1)[0]
    assert exact[0] > 0.01  # q and the prior do differ
    assert_mean(kl_gradients(layer, q, estimator, 50_000, num_samples), exact)


@pytest.mark.parametrize("name", ["von_mises", "poisson"])
def test_families_without_rsample_refuse_the_pathwise_estimator(name):
    layer = build(name)
    family = type(base_of(layer(features()))).__name__
    with pytest.raises(NotImplementedError, match=family):
        layer.kl(layer(features()), estimator=Pathwise())


# Training, arguments
# ----------------------------------------------------------------------------------------


@pytest.mark.e2e
@pytest.mark.parametrize("objective", [ELBO(4), IWAE(4)], ids=["elbo", "iwae"])
def test_each_layer_trains_in_a_vae(name, objective):
    torch.manual_seed(0)
    x = (torch.rand(4, 1, 4, 4) < 0.5).float().repeat(16, 1, 1, 1)  # four images
    encoder = MLPEncoder((1, 4, 4), [32])
    latent = FAMILIES[name](encoder.out_features, **LAYERS[name][0])
    likelihood = Bernoulli(MLPDecoder(latent.code_features, (1, 4, 4), hidden=[32]))
    vae = VAE(encoder, latent, likelihood)
    estimator = Pathwise() if name in PATHWISE else ScoreFunction(LeaveOneOut())
    optimizer = torch.optim.Adam(vae.parameters(), lr=0.01)
    bounds = []
    for _ in range(120):
        loss = bound(vae, objective, estimator, x).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bounds.append(-loss.item())
    assert bounds[0] < -10.5  # 16 log 2 is 11.1
    assert bounds[-1] > -9.0
    assert vae.sample(5).shape == (5, 1, 4, 4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gamma", {"num_variables": 0}, "at least 1"),
        ("gamma", {"prior_concentration": 0.05}, "prior_concentration must be more than 0.1"),
        ("gamma", {"prior_rate": 0.0}, "prior_rate must be more than 0.001"),
        ("beta", {"prior_concentration0": math.nan}, "prior_concentration0 must be more than 0.5"),
        ("dirichlet", {"num_categories": 1}, "num_categories must be at least 2"),
        ("dirichlet", {"num_variables": 0}, "at least 1"),
        ("dirichlet", {"prior_concentration": 0.1}, "prior_concentration must be more than 0.1"),
        ("von_mises", {"prior_concentration": -1.0}, "must not be negative"),
        ("von_mises", {"learned_prior": True}, "learned prior"),
        ("von_mises", {"prior_concentration": math.inf}, "negative or infinite, got inf"),
        ("poisson", {"prior_rate": -2.0}, "prior_rate must be more than 0.001"),
        ("poisson", {"prior_rate": math.inf}, "0.001 and finite, got inf"),
    ],
)
def test_bad_arguments_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        FAMILIES[name](H, **options)


def exact_derivative(cdf, pdf, a, z):
    """dz/da = -(dF/da) / f, of distribution function and density."""
    h = 1e-5 * a
    return -(cdf(a + h, z) - cdf(a - h, z)) / (2 * h) / pdf(a, z)


def test_the_error_of_torch_s_derivatives_is_as_stated():
    """Of dz/da, relative, between the 1st and the 99th percentile, against scipy's distribution
    functions; in the tails it is larger."""
    stats = pytest.importorskip("scipy.stats")
    central, tails = [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99], [1e-4, 0.9999]
    found = {"gamma": {}, "beta": {}}
    for p in central + tails:
        errors = []
        for a in (0.11, 0.5, 1.0, 2.0, 7.9, 8.1, 30.0, 300.0):
            z = float(stats.gamma.ppf(p, a))
            x, alpha = torch.tensor([z, a]).double()
            exact = exact_derivative(
                lambda a, z: stats.gamma.cdf(z, a), lambda a, z: stats.gamma.pdf(z, a), a, z
            )
            errors.append(abs(torch._standard_gamma_grad(alpha, x).item() / exact - 1))
        found["gamma"][p] = max(errors)
        errors = []
        for a, b in itertools.product((0.5, 1.0, 2.0, 6.1, 40.0, 100.0), repeat=2):
            z = float(stats.beta.ppf(p, a, b))
            if not 1e-12 < z < 1 - 1e-9:
                continue
            x, alpha, total = torch.tensor([z, a, a + b]).double()
            exact = exact_derivative(
                lambda a, z, b=b: stats.beta.cdf(z, a, b),
                lambda a, z, b=b: stats.beta.pdf(z, a, b),
                a,
                z,
            )
            own = (1 - z) * torch._dirichlet_grad(x, alpha, total).item()
            errors.append(abs(own / exact - 1))
        found["beta"][p] = max(errors)
    for name, layer in (("gamma", GammaLatent), ("beta", BetaLatent)):
        worst = max(found[name][p] for p in central)
        assert 0.5 * layer.rsample_error < worst <= layer.rsample_error
        assert layer.rsample_error < max(found[name][p] for p in tails) < 1e-2
    assert DirichletLatent.rsample_error == BetaLatent.rsample_error  # its marginals' derivative
