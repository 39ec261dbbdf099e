"""Enumeration, against sums by hand; and the part that chooses between it and quadrature."""

from functools import partial

import pytest
import torch
from every_part import LIKELIHOODS
from known import Enumerated, linear_gaussian, small_binary, small_one_hot
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily

from vae import VAE
from vae.data.digits import DigitsDataModule
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import configurations, support
from vae.evaluation.exact import Exact, exact_log_likelihood
from vae.evaluation.pairwise import log_probs
from vae.evaluation.part import Subject
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.poisson import PoissonLatent
from vae.models.likelihoods import Bernoulli, Likelihood
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.prior import Prior


@pytest.mark.parametrize("chunk", [1, 5, 27, 1000])
@pytest.mark.parametrize("make", [small_one_hot, small_binary])
def test_it_is_the_sum_by_hand(make, chunk):
    vae = make()
    truth = Enumerated(vae)
    value = exact_log_likelihood(vae, truth.images, chunk)
    torch.testing.assert_close(value.double(), truth.log_p(truth.images), rtol=0, atol=1e-5)


def test_each_configuration_is_decoded_once_for_all_images(monkeypatch):
    vae, seen, decode = small_one_hot(), [], VAE.decode
    monkeypatch.setattr(VAE, "decode", lambda self, z: (seen.append(z), decode(self, z))[1])
    exact_log_likelihood(vae, torch.rand(50, 1, 2, 3).round(), chunk=10)
    assert [len(z) for z in seen] == [10, 10, 7]
    assert len(torch.cat(seen).flatten(1).unique(dim=0)) == 27


@pytest.mark.parametrize("variables, categories", [(1, 3), (3, 2), (2, 4)])
def test_values_are_listed_in_blocks(variables, categories):
    logits = torch.zeros(variables, categories)
    q = Independent(OneHotCategorical(logits=logits), 1)
    size = categories**variables
    assert configurations(q) == size
    blocks = [support(q, first, min(first + 3, size)) for first in range(0, size, 3)]
    assert torch.equal(torch.cat(blocks), support(q))
    assert len(support(q).flatten(1).unique(dim=0)) == size


def test_far_more_values_than_can_be_listed_are_counted():
    q = Independent(OneHotCategorical(logits=torch.zeros(20, 10)), 1)
    assert configurations(q) == 10**20 and support(q, 0, 2).shape == (2, 20, 10)


class Mixture(Prior):
    """Of two one-hot distributions: nothing lists its support."""

    def __init__(self, latent):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.randn(2, *latent.prior().event_shape))

    def forward(self, posterior) -> Distribution:
        components = Independent(OneHotCategorical(logits=self.logits), 1)
        return MixtureSameFamily(Categorical(torch.tensor([0.3, 0.7])), components)


def test_a_mixture_prior_is_summed_over_the_posteriors_support():
    vae = small_one_hot()
    with_prior = VAE(vae.encoder, vae.latent, vae.likelihood, Mixture(vae.latent))
    truth = Enumerated(vae)
    log_prior = with_prior.prior().log_prob(truth.z).double()
    expected = (truth.log_pixels + log_prior[:, None]).logsumexp(0)
    value = exact_log_likelihood(with_prior, truth.images)
    torch.testing.assert_close(value.double(), expected, rtol=0, atol=1e-5)


class Ternary(Likelihood):
    """Pixels of three levels, 0, 1 and 2, whose density is known only by their log_prob."""

    channels = 3

    def pixels(self, parameters):
        return Categorical(logits=parameters.movedim(0, -1))


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("likelihood", [*LIKELIHOODS.values(), Ternary])
def test_log_probs_are_those_of_each_pair(likelihood, levels):
    decoder = MLPDecoder(4, (1, 2, 3), hidden=[5], channels=likelihood.channels)
    model = likelihood(decoder)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(5)
        p = model(torch.randn(7, 4))
        x = torch.randint(0, levels, (5, 1, 2, 3)).float()
        if likelihood is not Ternary:
            x = x / (levels - 1)
        if isinstance(model, Ternary) or levels == 2 or not likelihood.binary:
            expected = torch.stack([p.log_prob(image) for image in x], 1)
            torch.testing.assert_close(log_probs(p, x), expected.double(), atol=1e-4, rtol=1e-5)


def test_impossible_pixels_have_no_nan():
    decoder = torch.nn.Unflatten(-1, (1, 1, 1, 2))
    p = Bernoulli(decoder)(torch.tensor([[torch.inf, -torch.inf], [0.0, 0.0]]))
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).view(2, 1, 1, 2)
    found = log_probs(p, x)
    assert found[0, 0].abs() < 1e-5 and found[0, 1] < -1e30
    torch.testing.assert_close(found[1], -torch.tensor([4.0, 4.0]).double().log())


# The part ------------------------------------------------------------------------------------


def subject(vae: VAE, limit: int = 20) -> Subject:
    data = DigitsDataModule()
    data.setup()
    return Subject(vae.hard, vae, data, "test", limit, torch.device("cpu"), 0)


def of_digits(latent) -> VAE:
    layer = latent(16)
    decoder = MLPDecoder(layer.code_features, (1, 8, 8), hidden=[16])
    return VAE(MLPEncoder((1, 8, 8), [16]), layer, Bernoulli(decoder)).eval()


def ask(part, about, count=6):
    assert part.why_not(about) is None
    assert part.seconds(about) > 0
    part.prepare(about)
    loader = about.data.loader(about.split, about.device, batch_size=count, limit=count)
    values = part.measure(about, next(iter(loader.batches())), 0)
    assert all(len(value) == count for value in values.values())
    return part.numbers(about, {name: value.double() for name, value in values.items()})


def test_the_part_sums_few_configurations():
    (number,) = ask(Exact(), subject(of_digits(partial(OneHot, num_variables=3))))
    assert number.name == "log_likelihood_exact" and number.bound == "exact" and number.se > 0
    assert number.labels == {"method": "enumeration", "configurations": 1000}


def test_the_part_integrates_two_dimensions():
    (number,) = ask(Exact(), subject(of_digits(partial(DiagonalGaussian, latent_dim=2))))
    assert number.bound == "exact" and not number.warning
    assert number.labels["method"] == "quadrature" and number.labels["nodes"] > 100


def test_the_part_says_when_the_grid_is_too_coarse():
    vae = of_digits(partial(DiagonalGaussian, latent_dim=2))
    with torch.no_grad():
        vae.latent.parameters_of.bias[2:] = -5.0  # narrow
        for p in vae.likelihood.parameters():
            p.mul_(5)
    (number,) = ask(Exact(nodes=100), subject(vae))
    assert number.bound == "estimate" and "raise --exact_nodes" in number.warning


@pytest.mark.parametrize(
    "latent, said",
    [
        (partial(DiagonalGaussian, latent_dim=3), "z has 3 dimensions"),
        (partial(PoissonLatent, num_variables=1), "no density to integrate"),
        (partial(Binary, num_variables=30), "1,073,741,824 configurations"),
    ],
)
def test_the_part_says_why_not(latent, said):
    assert said in Exact().why_not(subject(of_digits(latent)))


@pytest.mark.parametrize("options", [{"tolerance": 0.0}, {"nodes": 0}])
def test_no_tolerance_and_no_nodes_are_refused(options):
    with pytest.raises(ValueError, match=f"exact_{next(iter(options))} must be positive"):
        Exact(**options)


def test_the_linear_gaussian_model_by_the_part():
    vae = linear_gaussian(1, 6, 0.1)
    _, x = vae.draw(8)
    about = subject(vae)
    values = Exact().measure(about, x, 0)
    assert (values["log_likelihood"].double() - vae.log_p(x)).abs().max() < 1e-4
