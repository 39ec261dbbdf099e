"""The latent layers: shapes, priors, precision, and the KL by its closed form against every
estimator of it, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from every_part import LATENTS
from torch import Size, Tensor
from torch.distributions import Distribution, Independent
from torch.testing import assert_close

from vae.distributions.concrete import ExpRelaxedOneHotCategorical
from vae.distributions.operations import parameters, rebuild, support
from vae.estimators import Enumerate, Estimate, Estimator, LeaveOneOut, Pathwise, ScoreFunction
from vae.models.latents.base import Latent
from vae.models.latents.beta import BetaLatent
from vae.models.latents.binary import Binary
from vae.models.latents.dirichlet import DirichletLatent
from vae.models.latents.gamma import GammaLatent
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.poisson import PoissonLatent
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.latents.von_mises import VonMisesLatent
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.vae import VAE
from vae.objectives import IWAE

H = 5
LAYERS = {  # options but in_features; the event shape
    "gaussian": ({"latent_dim": 3}, (3,)),
    "binary": ({"num_variables": 3}, (3,)),
    "one_hot": ({"num_variables": 2, "num_categories": 3}, (2, 3)),
    "relaxed_one_hot": ({"num_variables": 2, "num_categories": 3}, (2, 3)),
}
DISCRETE = ["binary", "one_hot"]


def build(name: str, learned_prior: bool = False) -> Latent:
    """A float64 layer, away from its start so that q and the prior differ."""
    layer = LATENTS[name](H, **LAYERS[name][0], learned_prior=learned_prior).double()
    for p in layer.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return layer


def features(n: int = 7) -> Tensor:
    return torch.randn(n, H, dtype=torch.float64)


@pytest.fixture(params=LAYERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_layer_is_tested():
    assert LAYERS.keys() == LATENTS.keys()


@pytest.mark.parametrize("sample_shape", [(), (4,), (4, 2)])
def test_shapes(name, sample_shape):
    layer, event = build(name), LAYERS[name][1]
    q, p = layer(features()), layer.prior()
    assert (q.batch_shape, q.event_shape) == ((7,), event)
    assert (p.batch_shape, p.event_shape) == ((), event)
    z = q.sample(Size(sample_shape))
    assert layer.code(z).shape == (*sample_shape, 7, layer.code_features)
    assert p.log_prob(z).shape == q.log_prob(z).shape == (*sample_shape, 7)
    assert layer.kl(q).shape == (7,)


@pytest.mark.parametrize("name", ["one_hot", "relaxed_one_hot"])
def test_one_hot_codes_lie_on_the_simplex(name):
    layer = build(name)
    code = layer.code(layer(features()).sample()).unflatten(-1, LAYERS[name][1])
    assert_close(code.sum(-1), torch.ones_like(code[..., 0]))
    assert (code >= 0).all()


def test_a_gaussian_reads_location_and_log_scale():
    layer, x = build("gaussian"), features()
    loc, log_scale = layer.parameters_of(x).chunk(2, -1)
    q = layer(x)
    assert_close(q.mean, loc)
    assert_close(q.variance, (2 * log_scale).exp())


def test_the_prior_starts_standard(name):
    layer = LATENTS[name](H, **LAYERS[name][0], learned_prior=True)
    for n, p in layer.named_parameters():
        if "prior" not in n:
            torch.nn.init.zeros_(p)  # q becomes the standard normal, or uniform
    assert_close(layer.kl(layer(torch.randn(2, H))), torch.zeros(2))


@pytest.mark.parametrize("learned_prior", [False, True])
def test_only_a_learned_prior_gets_a_gradient(name, learned_prior):
    layer = build(name, learned_prior)
    prior_names = [n for n, _ in layer.named_parameters() if "prior" in n]
    assert bool(prior_names) == learned_prior
    assert any("prior" in n for n in layer.state_dict())  # a fixed one is saved with the model
    layer.kl(layer(features())).sum().backward()
    for n, p in layer.named_parameters():
        assert p.grad is not None and (p.grad != 0).any(), n


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.parametrize("learned_prior", [False, True])
def test_discrete_priors_are_normalised(name, learned_prior):
    prior = build(name, learned_prior).prior()
    total = prior.log_prob(support(prior)).exp().sum()
    assert_close(total, torch.ones_like(total))


# KL
# ----------------------------------------------------------------------------------------


def kl_gradients(
    layer: Latent, q: Distribution, estimator: Estimator | None, n: int, num_samples: int = 1
) -> Tensor:
    """n replicates of the KL and its gradient in the parameters of q and of the prior, (n, 1 +
    P). The batch dimension is the replicate dimension."""
    prior = layer.prior().expand(Size([1]))
    leaves, distributions = [], []
    for d in (q, prior):
        new = {k: v[0].expand(n, *v.shape[1:]).clone() for k, v in parameters(d).items()}
        leaves += [v.requires_grad_() for v in new.values()]
        distributions.append(rebuild(d, **new))
    kl = layer.kl(*distributions, estimator, num_samples)
    assert kl.shape == (n,)
    grads = torch.autograd.grad(kl.sum(), leaves)
    return torch.cat([kl[:, None], *(g.flatten(1) for g in grads)], 1)


ESTIMATES = [
    ("gaussian", Pathwise(), 1),
    ("gaussian", Pathwise(), 3),
    *((name, ScoreFunction(), 1) for name in ("gaussian", *DISCRETE)),
    *((name, ScoreFunction(LeaveOneOut()), 3) for name in ("gaussian", *DISCRETE)),
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


@pytest.mark.parametrize("name", DISCRETE)
def test_enumerated_kl_is_the_closed_form(name):
    layer = build(name, learned_prior=True)
    q = layer(features(3))
    assert_close(kl_gradients(layer, q, Enumerate(), 3), kl_gradients(layer, q, None, 3))
    assert_close(layer.kl(q, estimator=Enumerate()), layer.kl(q))


@pytest.mark.parametrize("estimator", [Pathwise(), ScoreFunction()], ids=["pathwise", "score"])
def test_relaxed_kl_estimates_have_the_mean_of_the_integral(estimator, assert_mean):
    layer = RelaxedOneHot(H, 1, 2, learned_prior=True).double()
    for p in layer.parameters():
        torch.nn.init.normal_(p, std=0.5)
    q = layer(features(1))

    class Integral(Estimator):
        """The truth for one variable of two categories, over its log-odds."""

        def estimate(self, q, f, objective, context=None) -> Estimate:
            odds = torch.linspace(-60, 60, 20_001, dtype=torch.float64)[:, None]
            z = torch.stack([odds, torch.zeros_like(odds)], -1).log_softmax(-1)[:, :, None]
            density = q.log_prob(z).exp()  # with respect to the log-odds
            return Estimate(torch.trapezoid(density * f(z, q), odds, dim=0))

    exact = kl_gradients(layer, q, Integral(), 1)[0]
    assert_mean(kl_gradients(layer, q, estimator, 50_000), exact)


def test_relaxed_closed_form_is_the_kl_of_the_discrete_variables():
    layer = build("relaxed_one_hot", learned_prior=True)
    x = features()
    assert_close(layer.kl(layer(x)), layer.hard.kl(layer.hard(x)))
    other = build("relaxed_one_hot", learned_prior=True)
    assert_close(
        layer.kl(layer(x), other.prior()), layer.hard.kl(layer.hard(x), other.hard.prior())
    )


@pytest.mark.parametrize(
    ("name", "estimator", "message"),
    [
        ("binary", Pathwise(), "Bernoulli"),
        ("one_hot", Pathwise(), "OneHotCategorical"),
        ("gaussian", Enumerate(), "Normal"),
        ("relaxed_one_hot", Enumerate(), "ExpRelaxedOneHotCategorical"),
    ],
)
def test_undefined_estimates_are_refused_by_the_name_of_the_family(name, estimator, message):
    layer = build(name)
    with pytest.raises(NotImplementedError, match=message):
        layer.kl(layer(features()), estimator=estimator)


# The rest of the interface
# ----------------------------------------------------------------------------------------


def test_hard_is_the_layer_itself_but_for_a_relaxation(name):
    layer = build(name, learned_prior=True)
    if name != "relaxed_one_hot":
        assert layer.hard is layer
        return
    assert isinstance(layer.hard, OneHot)
    assert {id(p) for p in layer.hard.parameters()} == {id(p) for p in layer.parameters()}
    x = features()
    assert_close(layer.hard(x).base_dist.logits, layer(x).base_dist.logits)
    assert layer.hard.code_features == layer.code_features


def test_relaxed_temperatures_are_buffers_that_a_schedule_fills():
    layer = build("relaxed_one_hot")
    assert {"temperature", "prior_temperature"} <= layer.state_dict().keys()
    layer.temperature.fill_(0.2)
    layer.prior_temperature.fill_(0.3)
    for q, expected in ((layer(features()), 0.2), (layer.prior(), 0.3)):
        assert isinstance(q, Independent) and isinstance(q.base_dist, ExpRelaxedOneHotCategorical)
        assert_close(q.base_dist.temperature, torch.full_like(q.base_dist.temperature, expected))


def test_expectation_forwards_to_the_estimator(name):
    layer, x, f, context = build(name), features(), lambda z, q: z, torch.zeros(7)
    seen = []

    class Recorder(Estimator):
        def estimate(self, *arguments) -> Estimate:
            seen.append(arguments)
            return Estimate(torch.full((7,), 3.0), 4.0)

    objective = IWAE(2)
    estimate = layer.expectation(x, f, objective, Recorder(), context)
    assert (estimate.bound == 3).all() and estimate.auxiliary == 4
    ((q, *rest),) = seen
    z = q.sample()
    assert_close(q.log_prob(z), layer(x).log_prob(z))
    for got, given in zip(rest, (f, objective, context), strict=True):
        assert got is given


def test_a_model_samples_without_data(name):
    layer = build(name)
    image = (1, 2, 3)
    decoder = MLPDecoder(layer.code_features, image, hidden=[4])
    vae = VAE(MLPEncoder(image, [H]), layer, Bernoulli(decoder)).double()
    means, draws = vae.sample(6), vae.sample(6, draw=True)
    assert means.shape == draws.shape == (6, *image)
    assert set(draws.unique().tolist()) <= {0.0, 1.0} and not set(means.unique().tolist()) <= {
        0.0,
        1.0,
    }


def test_double_precision_stays(name):
    layer = build(name)
    q, p = layer(features()), layer.prior()
    for d in (q, p):
        z = d.sample()
        assert z.dtype == d.log_prob(z).dtype == layer.code(z).dtype == torch.float64
        assert {v.dtype for v in parameters(d).values()} == {torch.float64}
    assert layer.kl(q).dtype == torch.float64


def test_distributions_are_in_single_precision_under_autocast(name):
    options, _ = LAYERS[name]
    layer = LATENTS[name](H, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.nn.Linear(H, 1)(torch.randn(2, H)).dtype == torch.bfloat16
        q = layer(torch.randn(2, H))
        z = q.sample()
        values = [*parameters(q).values(), z, q.log_prob(z), layer.kl(q)]
        assert {v.dtype for v in values} == {torch.float32}


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (DiagonalGaussian, {"latent_dim": 0}),
        (Binary, {"num_variables": 0}),
        (OneHot, {"num_variables": 0}),
        (OneHot, {"num_categories": 1}),
        (RelaxedOneHot, {"num_variables": 0}),
        (RelaxedOneHot, {"num_categories": 1}),
        (RelaxedOneHot, {"temperature": 0.0}),
        (RelaxedOneHot, {"temperature": -1.0}),
        (RelaxedOneHot, {"prior_temperature": 0.0}),
        (DiagonalGaussian, {"in_features": 0}),
        (RelaxedOneHot, {"temperature": float("inf")}),
    ],
)
def test_bad_options_raise(layer, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"^{name} must be .*, got {value}$"):
        layer(**{"in_features": H, **options})


STATE = {  # in a checkpoint, with a fixed prior
    DiagonalGaussian: "prior_loc prior_log_scale parameters_of.weight parameters_of.bias",
    Binary: "prior_logits logits.weight logits.bias",
    OneHot: "prior_logits logits.weight logits.bias",
    RelaxedOneHot: "temperature prior_temperature discrete.prior_logits discrete.logits.weight"
    " discrete.logits.bias",
    GammaLatent: "prior_log_concentration prior_log_rate parameters_of.weight parameters_of.bias",
    BetaLatent: "prior_log_concentration1 prior_log_concentration0 parameters_of.weight"
    " parameters_of.bias",
    DirichletLatent: "prior_log_concentration parameters_of.weight parameters_of.bias",
    VonMisesLatent: "prior_log_concentration prior_loc parameters_of.weight parameters_of.bias",
    PoissonLatent: "prior_log_rate parameters_of.weight parameters_of.bias",
}


@pytest.mark.parametrize("layer", STATE)
def test_checkpoints_name_the_weights_as_they_always_have(layer):
    # in this order: an optimiser's state goes by it where the prior is learned
    assert list(layer(H).state_dict()) == STATE[layer].split()


def test_a_sampled_kl_is_an_average_over_its_samples():
    layer = build("gaussian")
    q = layer(features())
    torch.manual_seed(1)
    many = layer.kl(q, estimator=Pathwise(), num_samples=4)
    torch.manual_seed(1)
    z = q.rsample(Size([4]))
    assert_close(many, (q.log_prob(z) - layer.prior().log_prob(z)).mean(0))
