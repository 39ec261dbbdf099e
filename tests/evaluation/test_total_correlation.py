"""The rate's three parts, against a Gaussian and enumerated models where they are known."""

import pytest
import torch
from asked import asked, subject_of
from known import Enumerated, linear_gaussian, small_binary, small_one_hot
from own_latents import SHAPE, toy
from torch.distributions import Normal, kl_divergence

from vae.data.loader import mix_seeds
from vae.distributions.operations import support
from vae.evaluation.terms import fixed_noise
from vae.evaluation.total_correlation import TotalCorrelation, marginals
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot

LIMIT = 4.9
"""Standard errors within which a mean is, but for one time in a million."""


def near(number, expected, allowed=0.0):
    return abs(number.value - float(expected)) < LIMIT * number.se + allowed


def test_a_linear_gaussian_model_with_correlated_codes():
    model = linear_gaussian(2, 6)
    turn = torch.tensor([[1.0, 0.8], [0.3, 1.0]]).double()  # codes that are mixed
    model.set_affine(turn @ model.gain, torch.tensor([0.5, -0.2]), torch.tensor([0.4, 0.6]))
    _, x = model.draw(3000)
    found = asked(TotalCorrelation(), model, x)
    q = model.aggregate()
    correlation = q.covariance_matrix / (q.variance.sqrt()[:, None] * q.variance.sqrt())
    truth = -correlation.logdet() / 2
    each = kl_divergence(Normal(q.loc, q.variance.sqrt()), Normal(0.0, 1.0)).sum()
    numbers = found.numbers
    assert truth > 0.1 and near(numbers["total_correlation"], truth, 0.01)
    assert near(numbers["dimension_wise_kl"], each, 0.01)
    assert near(numbers["index_code_information"], model.mutual_information(), 0.02)
    total = truth + each + model.mutual_information()
    assert found.remarks[0].startswith("rate ") and near(
        numbers["index_code_information"]._replace(value=sum(n.value for n in numbers.values())),
        total,
        0.1,
    )


@pytest.mark.parametrize("small", [small_one_hot, small_binary])
def test_of_enumerated_models_it_is_exact_for_these_images(small):
    """Every sum by hand: of all values of z, and of each variable's."""
    vae = small()
    with torch.no_grad():
        for name, p in vae.latent.named_parameters():
            p.mul_(1 if "prior" in name else 4)  # so that the codes of few images are correlated
    x = Enumerated(vae).images[[0, 21, 42, 63]]
    with torch.no_grad():
        q = vae.posterior(x)
        z = support(q)[:, :1]  # (S, 1, *event)
        table = q.log_prob(z).double().exp().mean(1)  # q_N(z), (S,)
        own = q.log_prob(z).double()  # (S, N)
        log_p = vae.prior().log_prob(z[:, 0]).double()
        flat = z[:, 0].reshape(len(z), q.event_shape[0], -1)  # (S, D, *)
        log_product = torch.zeros_like(table)
        for d in range(flat.shape[1]):
            same = (flat[:, None, d] == flat[None, :, d]).all(-1)  # (S, S)
            log_product = log_product + (same.double() @ table).log()
        truth = {
            "index_code_information": ((own - table.log()[:, None]) * own.exp()).sum(0).mean(),
            "total_correlation": (table * (table.log() - log_product)).sum(),
            "dimension_wise_kl": (table * (log_product - log_p)).sum(),
        }
    again = x.repeat(500, 1, 1, 1)  # a draw each: the mixture is the same
    numbers = asked(TotalCorrelation(len(again)), vae, again).numbers
    for name, value in truth.items():
        assert near(numbers[name], value) and numbers[name].se < 0.04, name


def test_densities_by_hand():
    """Of 20 images in batches of 8, as tables of all pairs."""
    model = linear_gaussian(3, 6)
    _, x = model.draw(20)
    found = asked(TotalCorrelation(), model, x, batch_size=8).values
    z, first = [], 0
    for part in x.split(8):
        with fixed_noise(x.device, mix_seeds(0, first)):
            z.append(model.posterior(part).sample())
        first += len(part)
    with torch.no_grad():
        table = model.posterior(x).base_dist.log_prob(torch.cat(z)[:, None]).double()  # (M, N, D)
    joint = table.sum(-1).exp().mean(1).log()
    product = table.exp().mean(1).log().sum(-1)
    prior = Normal(0.0, 1.0).log_prob(torch.cat(z)).sum(-1).double()
    for name, expected in {"joint": joint, "product": product, "prior": prior}.items():
        torch.testing.assert_close(found[name], expected, atol=1e-4, rtol=0)


def test_the_parts_add_up_to_the_sampled_rate():
    model = linear_gaussian(3, 6)
    _, x = model.draw(120)
    found = asked(TotalCorrelation(50), model, x, batch_size=32)
    values = found.values
    rate = (values["own"] - values["prior"]).mean().item()
    assert sum(n.value for n in found.numbers.values()) == pytest.approx(rate)
    assert {n.labels["mixture"] for n in found.numbers.values()} == {50}
    q = model.posterior(x)
    assert len(marginals(q)) == 3 and marginals(q)[1].batch_shape == (120,)


def test_where_there_is_none():
    one = toy(DiagonalGaussian, 1)
    assert "correlates with no other" in TotalCorrelation().why_not(
        subject_of(one, torch.rand(5, *SHAPE))
    )
    several = subject_of(toy(OneHot, 3), torch.rand(5, *SHAPE))
    assert TotalCorrelation().why_not(several) is None
    assert TotalCorrelation().seconds(several) > 0
    alone = subject_of(toy(OneHot, 3), torch.rand(1, *SHAPE))
    assert "needs two images" in TotalCorrelation().why_not(alone)
    with pytest.raises(ValueError, match="total_correlation_mixture must be at least 2"):
        TotalCorrelation(1)
