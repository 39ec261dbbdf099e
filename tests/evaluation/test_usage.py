"""Use of the categories, against codes whose use is known."""

import math

import pytest
import torch
from asked import asked
from own_latents import SHAPE, toy
from torch.distributions import Binomial, Categorical, Independent, Normal, Poisson

from vae.distributions.bernoulli import Bernoulli
from vae.distributions.one_hot import OneHotCategorical
from vae.evaluation.latents import Units
from vae.evaluation.usage import (
    category_probs,
    code_usage,
    entropy,
    perplexity,
    used_categories,
)
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.relaxed_one_hot import RelaxedOneHot


def test_perplexity_and_what_is_used():
    usage = torch.tensor([[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.49, 0.01, 0]]).double()
    expected = [4, 1, math.exp(0.5 * math.log(2) - 0.49 * math.log(0.49) - 0.01 * math.log(0.01))]
    torch.testing.assert_close(perplexity(usage), torch.tensor(expected).double())
    assert used_categories(usage).tolist() == [4, 1, 2]
    assert entropy(usage)[0].item() == pytest.approx(math.log(4))


@pytest.mark.parametrize(
    ("base", "shape"),
    [
        (OneHotCategorical(logits=torch.randn(6, 2, 5)), (6, 2, 5)),
        (Categorical(logits=torch.randn(6, 2, 5)), (6, 2, 5)),
        (Bernoulli(logits=torch.randn(6, 4)), (6, 4, 2)),
        (Binomial(3, logits=torch.randn(6, 4)), (6, 4, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_probabilities_are_those_of_samples(base, shape):
    q = Independent(base, 1)
    probs = category_probs(q)
    assert probs.shape == shape
    torch.testing.assert_close(probs.sum(-1), torch.ones(shape[:2]))
    z = q.sample((20_000,))
    z = z.argmax(-1) if isinstance(base, OneHotCategorical) else z.long()
    counts = torch.nn.functional.one_hot(z, shape[2]).double().mean(0)
    assert ((counts - probs).abs() < 6 * (probs * (1 - probs) / 20_000).sqrt() + 1e-6).all()


def test_what_is_no_code_has_no_categories():
    assert category_probs(Independent(Normal(torch.zeros(3, 2), 1.0), 1)) is None
    assert category_probs(Independent(Poisson(torch.ones(3, 2)), 1)) is None
    assert code_usage(toy(DiagonalGaussian, 2), [torch.rand(3, *SHAPE)]) is None


@pytest.mark.parametrize("latent", [OneHot, RelaxedOneHot])
def test_the_usage_of_images_is_the_mean_of_their_probabilities(latent):
    vae = toy(latent, 3, 4)
    x = torch.rand(50, *SHAPE)
    usage = code_usage(vae, x.split(20))
    probs = category_probs(vae.hard.posterior(x)).double()
    assert usage.shape == (3, 4)
    torch.testing.assert_close(usage, probs.mean(0))
    found = asked(Units(), vae, x).numbers
    assert found["perplexity"].value == pytest.approx(perplexity(usage).mean().item())
    assert found["entropy_per_variable"].value == pytest.approx(entropy(probs).mean().item())
    modes = torch.nn.functional.one_hot(probs.argmax(-1), 4).double().mean(0)
    assert found["perplexity_of_modes"].value == pytest.approx(perplexity(modes).mean().item())
    assert (
        found["perplexity"].labels["at_most"] == 4 and found["used_categories"].labels["of"] == 12
    )


def test_sure_codes_and_unsure_ones_differ_in_the_entropy_of_q():
    """The aggregate of codes that q is sure of, and of those it knows nothing of, may be the same."""
    vae = toy(Binary, 1)
    x = torch.zeros(40, *SHAPE)
    x[20:] = 1.0
    layer = vae.latent.logits
    with torch.no_grad():
        vae.encoder.eval()
        layer.weight.zero_()
        layer.bias.zero_()
    unsure = asked(Units(), vae, x).numbers
    with torch.no_grad():
        low, high = vae.encoder(x[:1]), vae.encoder(x[-1:])
        direction = high - low
        layer.weight.copy_(80 * direction / direction.square().sum())
        layer.bias.copy_(-layer.weight @ (low + high)[0] / 2)
    sure = asked(Units(), vae, x).numbers
    for found in (unsure, sure):
        assert found["perplexity"].value == pytest.approx(2)
    assert unsure["entropy_per_variable"].value == pytest.approx(math.log(2))
    assert sure["entropy_per_variable"].value == pytest.approx(0, abs=1e-6)
    assert unsure["perplexity_of_modes"].value == pytest.approx(1)
    assert sure["perplexity_of_modes"].value == pytest.approx(2)
