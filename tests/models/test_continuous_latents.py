"""The layers of the continuous families and of mixtures: shapes, priors, precision, arguments.

What their distributions compute is in tests/distributions/test_continuous.py, their gradients in
tests/certify/test_family_problems.py, and their training in test_combinations.py.
"""

import pytest
import torch
from torch import Size, nn
from torch.distributions import kl_divergence

from vae.distributions.operations import base_of
from vae.models.composition import compose
from vae.models.latents import (
    FullGaussian,
    GaussianMixtureLatent,
    KumaraswamyLatent,
    LaplaceLatent,
    LogisticNormalLatent,
    MISVAELatent,
    PowerSphericalLatent,
)
from vae.objectives import ELBO, IWAE

H = 5
LAYERS = {  # class, options, event, code, and whether its prior can be learned
    "full_gaussian": (FullGaussian, {"latent_dim": 3}, (3,), 3, True),
    "laplace": (LaplaceLatent, {"num_variables": 3}, (3,), 3, True),
    "logistic_normal": (
        LogisticNormalLatent,
        {"num_variables": 2, "num_categories": 3},
        (2, 3),
        6,
        True,
    ),
    "kumaraswamy": (KumaraswamyLatent, {"num_variables": 3}, (3,), 3, True),
    "power_spherical": (PowerSphericalLatent, {"num_variables": 2, "dim": 3}, (2, 3), 6, False),
    "gaussian_mixture": (
        GaussianMixtureLatent,
        {"latent_dim": 3, "num_components": 4},
        (3,),
        3,
        True,
    ),
    "misvae": (MISVAELatent, {"latent_dim": 3, "num_components": 4, "hidden": 6}, (3,), 3, True),
}
MIXTURES = ("gaussian_mixture", "misvae")
CLOSED = [name for name in LAYERS if name not in MIXTURES]


@pytest.fixture(params=LAYERS)
def name(request):
    return request.param


def build(name, **options):
    family, own, *_ = LAYERS[name]
    return family(H, **own, **options)


def kl(layer, q):
    if isinstance(layer, (GaussianMixtureLatent, MISVAELatent)):
        z = q.rsample(Size([8]))
        return (q.log_prob(z) - layer.prior().log_prob(z)).mean(0)
    return layer.kl(q)


def test_shapes(name):
    layer, (_, _, event, width, _) = build(name), LAYERS[name]
    q, p = layer(torch.randn(7, H)), layer.prior()
    assert (q.batch_shape, q.event_shape) == ((7,), event)
    assert (p.batch_shape, p.event_shape) == ((), event)
    assert q.has_rsample and layer.hard is layer and layer.code_features == width
    z = q.rsample(Size([4]))
    assert layer.code(z).shape == (4, 7, width)
    assert p.log_prob(z).shape == q.log_prob(z).shape == (4, 7)
    if name in CLOSED:
        assert layer.kl(q).shape == (7,) and (layer.kl(q) > 0).all()


@pytest.mark.parametrize("name", CLOSED)
def test_features_of_zero_give_the_prior(name):
    layer = build(name).double()
    for key, p in layer.named_parameters():
        if "prior" not in key:
            nn.init.zeros_(p)
    found = layer.kl(layer(torch.zeros(2, H).double()))
    assert found.abs().max() < 1e-9
    found.sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("learned", [False, True])
def test_every_parameter_gets_a_gradient_and_the_prior_s_if_it_is_learned(name, learned):
    if learned and not LAYERS[name][-1]:
        pytest.skip("its prior is uniform")
    torch.manual_seed(0)
    layer = build(name, **({"learned_prior": True} if learned else {}))
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    assert any("prior" in key for key, _ in layer.named_parameters()) == learned
    q = layer(torch.randn(9, H))
    total = kl(layer, q).sum() + layer.code(q.rsample()).square().sum()
    total.backward()
    for key, p in layer.named_parameters():
        assert p.grad is not None and (p.grad != 0).any(), key


@pytest.mark.parametrize("scale", [1e-4, 1.0, 4.0])
def test_single_precision_is_finite_in_value_and_gradient(name, scale):
    layer = build(name)
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    q = layer(scale * torch.randn(2000, H))
    z = q.rsample()
    total = layer.code(z).square().mean() + q.log_prob(z).mean() + kl(layer, q).mean()
    total.backward()
    assert total.isfinite() and total.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in layer.parameters() if p.grad is not None)


def test_distributions_stay_in_single_precision_under_autocast(name):
    layer = build(name)
    with torch.autocast("cpu", torch.bfloat16):
        q = layer(torch.randn(2, H))
        z = q.rsample()
        assert z.dtype == q.log_prob(z).dtype == torch.float32
    exact = q.log_prob(z)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(q.log_prob(z), exact)


def test_a_full_gaussian_starts_diagonal_and_learns_any_covariance():
    torch.manual_seed(0)
    layer = FullGaussian(H, 3)
    q = layer(torch.randn(4, H))
    assert (q.scale_tril.tril(-1) == 0).all()
    target = torch.distributions.MultivariateNormal(
        torch.tensor([0.5, -1.0, 2.0]),
        torch.tensor([[1.0, 0.9, -0.3], [0.9, 1.5, 0.2], [-0.3, 0.2, 0.7]]),
    )
    optimizer = torch.optim.Adam(layer.parameters(), 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = kl_divergence(layer(torch.ones(1, H)), target.expand(Size([1]))).sum()
        loss.backward()
        optimizer.step()
    assert loss < 1e-2


def test_the_prior_of_a_logistic_normal_is_the_same_for_all_categories(assert_mean):
    z = LogisticNormalLatent(H, 1, 4).prior().sample(Size([20_000]))[:, 0]
    assert_mean(z, torch.full((4,), 0.25))
    same = torch.randn(20_000, 4).softmax(-1)
    assert_mean(z[:, 3].square() - same[:, 0].square(), 0.0)


def test_mixtures_have_no_closed_form_and_say_what_to_do():
    for family in (GaussianMixtureLatent, MISVAELatent):
        with pytest.raises(NotImplementedError, match="analytic_kl=False"):
            compose((1, 8, 8), latent=family)
    objective = ELBO(3, analytic_kl=False)
    compose((1, 8, 8), latent=MISVAELatent, objective=objective, estimator="stl")
    with pytest.raises(NotImplementedError, match="needs independent samples"):
        compose((1, 8, 8), latent=MISVAELatent, objective=IWAE(3), estimator="dreg")
    compose((1, 8, 8), latent=GaussianMixtureLatent, objective=IWAE(3), estimator="dreg")


def test_the_one_encoder_of_misvae_is_told_the_component():
    layer = MISVAELatent(H, 2, num_components=3, hidden=7)
    features = torch.randn(4, H)
    base = base_of(layer(features))
    for a in range(3):
        told = nn.functional.one_hot(torch.full((4,), a), 3).float()
        whole = torch.cat([layer.hidden.weight, layer.component.weight.T], 1)
        hidden = torch.cat([features, told], 1) @ whole.T + layer.hidden.bias
        loc, log_scale = layer.parameters_of(hidden.relu()).chunk(2, -1)
        torch.testing.assert_close(base.loc[:, a], loc)
        torch.testing.assert_close(base.scale[:, a], log_scale.exp())


@pytest.mark.parametrize(
    "family, options, message",
    [
        (FullGaussian, {"latent_dim": 0}, "latent_dim must be at least 1"),
        (LaplaceLatent, {"num_variables": 0}, "num_variables must be at least 1"),
        (LogisticNormalLatent, {"num_categories": 1}, "num_categories must be at least 2"),
        (KumaraswamyLatent, {"prior_concentration0": 0.2}, "prior_concentration0 must be more"),
        (PowerSphericalLatent, {"dim": 1}, "dim must be at least 2"),
        (PowerSphericalLatent, {"num_variables": 0}, "num_variables must be at least 1"),
        (GaussianMixtureLatent, {"num_components": 1}, "num_components must be at least 2"),
        (MISVAELatent, {"num_components": 1}, "num_components must be at least 2"),
        (MISVAELatent, {"hidden": 0}, "hidden must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(family, options, message):
    with pytest.raises(ValueError, match=message):
        family(H, **options)
