"""Densities of all pairs: as log_prob has them, one pair after the other."""

import pytest
import torch
from every_part import FAMILIES, LATENTS
from own_latents import SHAPE, Bare, BareLatent, toy
from torch import distributions
from torch.distributions import Independent

from vae.distributions.bernoulli import Bernoulli
from vae.distributions.gamma import Gamma
from vae.distributions.normal import Normal
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.von_mises import VonMises
from vae.evaluation import densities


def of_each_pair(q, z):
    return torch.stack([q.log_prob(row.expand(q.batch_shape + q.event_shape)) for row in z])


@pytest.mark.parametrize("name", [*LATENTS, *FAMILIES, "own"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_every_family_as_log_prob_has_it(name, dtype):
    layer = (LATENTS | FAMILIES | {"own": BareLatent})[name](6).hard.to(dtype)
    q = layer(3 * torch.randn(7, 6, dtype=dtype))
    z = q.sample()[:5]
    with torch.no_grad():
        found = densities.log_densities(q)(z)
        assert found.shape == (5, 7) and found.dtype == torch.float64
        expected = of_each_pair(q, z).double()
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "base",
    [
        Normal(torch.tensor([3.0, 3.001]), torch.tensor([1e-4, 2e-4])),
        Normal(torch.tensor([3.0, 3.0]), torch.tensor([1e-12, 1e-11])),
        Gamma(torch.tensor([1e6, 2e6]), torch.tensor([1e3, 2e3])),
        VonMises(torch.tensor([3.1, -3.1]), torch.tensor([1e5, 1e-6])),
        OneHotCategorical(logits=torch.tensor([[0.0, -torch.inf, 1.0], [0.0, 1.0, 2.0]])),
        distributions.Bernoulli(logits=torch.tensor([40.0, -40.0])),
        Bernoulli(logits=torch.tensor([torch.inf, 1.0])),
        distributions.Categorical(logits=torch.randn(2, 3)),
    ],
    ids=lambda base: type(base).__name__,
)
def test_of_sharp_ones_as_log_prob_has_it(base):
    """In the precision of log_prob, which is that of its own single-precision terms."""
    z = base.sample((4,))[:, 0]
    found = densities.log_densities(base)(z)
    torch.testing.assert_close(found, of_each_pair(base, z).double(), rtol=1e-4, atol=0.05)


def test_a_class_derived_from_a_known_one_is_asked_for_its_own_density():
    class Shifted(Normal):
        def log_prob(self, value):
            return super().log_prob(value - 1)

    q = Independent(Shifted(torch.randn(5, 3), torch.ones(5, 3)), 1)
    z = q.sample()
    torch.testing.assert_close(densities.log_densities(q)(z), of_each_pair(q, z).double())


def test_memory_is_bounded(monkeypatch):
    seen, log_prob = [], Bare.log_prob
    monkeypatch.setattr(Bare, "log_prob", lambda q, z: seen.append(z.numel()) or log_prob(q, z))
    monkeypatch.setattr(densities, "ELEMENTS", {False: 600, True: 600})
    q = toy(BareLatent, 3).posterior(torch.rand(50, *SHAPE))
    with torch.no_grad():
        found = densities.log_densities(q)(q.sample())
    assert found.shape == (50, 50) and max(seen) <= 600 and sum(seen) == 50 * 50 * 3
