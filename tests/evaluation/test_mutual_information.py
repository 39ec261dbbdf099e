"""Mutual information and the aggregate posterior's KL, against models where both are known."""

import math

import pytest
import torch
from asked import asked, subject_of
from every_part import FAMILIES, LATENTS
from known import Enumerated, linear_gaussian, small_binary, small_one_hot
from own_latents import SHAPE, BareLatent, MixturePrior, toy

from vae.evaluation import mutual_information as information
from vae.evaluation.collapse import information_verdict
from vae.evaluation.densities import log_densities
from vae.evaluation.mutual_information import Codes
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot

LIMIT = 4.9
"""Standard errors within which a mean is, but for one time in a million."""


def near(number, expected):
    return abs(number.value - float(expected)) < LIMIT * number.se


@pytest.mark.parametrize("stretch", [1.0, 1.5])
def test_a_linear_gaussian_model_lies_in_the_bracket(stretch):
    model = linear_gaussian(2, 6)
    model.set_encoder(shift=0.7, stretch=stretch)
    _, x = model.draw(3000)
    found = asked(Codes(), model, x).numbers
    lower, upper = found["mutual_information"], found["mutual_information_upper"]
    truth, marginal = float(model.mutual_information()), float(model.marginal_kl())
    assert (lower.bound, upper.bound) == ("lower bound", "upper bound")
    assert lower.value - LIMIT * lower.se < truth < upper.value + LIMIT * upper.se
    assert near(lower, truth) and near(upper, truth) and lower.se < 0.03
    assert 0 < upper.value - lower.value < 0.05
    above, below = found["marginal_kl"], found["marginal_kl_lower"]
    assert (above.bound, below.bound) == ("upper bound", "lower bound")
    assert below.value - LIMIT * below.se < marginal < above.value + LIMIT * above.se
    assert near(above, marginal) and near(below, marginal)


@pytest.mark.parametrize("small", [small_one_hot, small_binary])
def test_of_enumerated_models_the_value_of_n_images_is_exact_in_the_mean(small):
    known = Enumerated(small())
    x = known.images
    q = known.vae.posterior(x)
    with torch.no_grad():
        densities, index = [log_densities(q)], torch.arange(64)
        draws = []
        for _ in range(200):
            z = q.sample()
            own = densities[0](z).diagonal()
            others = information.log_sum_of_others(z, index, densities)
            lower, _ = information.information_bounds(own, others, 64)
            marginal = known.rate(x) - lower
            draws.append([lower.mean(), marginal.mean()])
    draws = torch.tensor(draws)
    truth = torch.stack([known.mutual_information(x), known.marginal_kl(x)])
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - truth).abs() < LIMIT * error).all() and error.max() < 0.01


def test_of_an_enumerated_population_both_bounds_hold_and_the_rate_is_their_sum():
    known = Enumerated(small_one_hot())
    _, x = known.draw(2000)
    found = asked(Codes(), known.vae, x)
    weights = known.weights()
    truth = float(known.mutual_information(known.images, weights))
    marginal = float(known.marginal_kl(known.images, weights))
    numbers = found.numbers
    assert near(numbers["mutual_information"], truth)
    assert near(numbers["mutual_information_upper"], truth)
    assert near(numbers["marginal_kl"], marginal)
    total = numbers["mutual_information"].value + numbers["marginal_kl"].value
    assert total == pytest.approx(known.rate(x).mean().item(), rel=1e-5)
    assert found.remarks[0].startswith(f"rate {total:.2f} = I(x; z)")


def test_codes_apart_reach_the_ceiling_and_the_rate_bounds_what_there_may_be():
    model = linear_gaussian(2, 6, scale=1e-3)
    _, x = model.draw(40)
    found = asked(Codes(), model, x)
    lower, upper = found.numbers["mutual_information"], found.numbers["mutual_information_upper"]
    assert lower.value == pytest.approx(math.log(40), abs=1e-3)
    assert lower.labels["ceiling"] == pytest.approx(math.log(40), abs=1e-4)
    assert upper.labels["by"] == "the prior" and upper.value == pytest.approx(
        model.rate(x).mean().item()
    )
    assert float(model.mutual_information()) < upper.value + LIMIT * upper.se
    assert found.numbers["marginal_kl_lower"].value == 0
    assert "at its ceiling log N = 3.69" in found.remarks[1]


def test_wider_posteriors_give_a_tighter_bound_that_holds():
    """In six dimensions hundreds of posteriors are far apart, and the prior is off by 4.5 nats."""
    model = linear_gaussian(6, 8, scale=0.3)
    model.set_affine(model.gain, torch.ones(6) * 1.5**0.5, model.spread)
    _, x = model.draw(800)
    found = asked(Codes(), model, x)
    upper, below = found.numbers["mutual_information_upper"], found.numbers["marginal_kl_lower"]
    assert upper.labels["by"] == "the others" and upper.labels["width"] > 1
    narrow = information.information_bounds(found.values["own"], found.values["others"], 800)[1]
    truth, marginal = float(model.mutual_information()), float(model.marginal_kl())
    assert truth < upper.value < narrow.mean() - 1
    assert upper.value < model.rate(x).mean() - 1
    assert 1 < below.value < marginal


def test_what_is_wider_is_another_density_of_the_same_family():
    q = toy(DiagonalGaussian, 3).posterior(torch.rand(4, *SHAPE))
    wide = information.widened(q, 2.0)
    torch.testing.assert_close(wide.base_dist.scale, 2 * q.base_dist.scale)
    torch.testing.assert_close(wide.base_dist.loc, q.base_dist.loc)
    for vae in (toy(BareLatent, 3), toy(OneHot, 3)):
        assert information.widened(vae.posterior(torch.rand(4, *SHAPE)), 2.0) is None


def test_a_posterior_that_is_the_same_for_all_images_holds_nothing():
    model = linear_gaussian(2, 6)
    model.set_affine(torch.zeros(2, 6), torch.tensor([0.5, 0.0]), torch.tensor([0.5, 1.0]))
    _, x = model.draw(300)
    found = asked(Codes(), model, x)
    for name in ("mutual_information", "mutual_information_upper"):
        assert found.numbers[name].value == pytest.approx(0, abs=1e-6)
    rate = model.rate(x).mean().item()
    for name in ("marginal_kl", "marginal_kl_lower"):
        assert found.numbers[name].value == pytest.approx(rate, rel=1e-5)
    assert found.remarks[1].startswith("posterior collapse: I(x; z) is at most")


def test_the_mixture_may_be_of_fewer_images_or_more_than_are_asked():
    model = linear_gaussian(2, 6)
    _, x = model.draw(600)
    found = asked(Codes(mixture=100), model, x).numbers["mutual_information"]
    assert found.labels == {"mixture": 100, "ceiling": pytest.approx(math.log(100), abs=1e-4)}
    assert found.value < math.log(100)
    limited = asked(Codes(), model, x, limit=50).numbers["mutual_information"]
    assert limited.labels["mixture"] == 600
    # an image beyond the mixture, here one that is in it too, takes the place of one
    apart = linear_gaussian(2, 6, scale=1e-3)
    _, y = apart.draw(20)
    values = asked(Codes(mixture=20), apart, torch.cat([y, y])).values
    _, upper = information.information_bounds(values["own"], values["others"], 20)
    assert upper.min() > math.log(20) + 3
    # an image's own posterior is in the mixture once, wherever it stands
    q = model.posterior(x[:5])
    z = q.sample()
    with torch.no_grad():
        table = log_densities(q)(z)
        blocks = [log_densities(model.posterior(part)) for part in x[:5].split(2)]
        found = information.log_sum_of_others(z, torch.arange(5), blocks)
    expected = [torch.cat([row[:i], row[i + 1 :]]).logsumexp(0) for i, row in enumerate(table)]
    torch.testing.assert_close(found, torch.stack(expected))


def test_what_is_drawn_follows_from_the_seed_and_the_image():
    model = linear_gaussian(2, 6)
    _, x = model.draw(200)
    torch.manual_seed(1)
    first = asked(Codes(), model, x, seed=3)
    torch.manual_seed(2)
    again, other = asked(Codes(), model, x, seed=3), asked(Codes(), model, x, seed=4)
    assert torch.equal(first.values["own"], again.values["own"])
    assert not torch.equal(first.values["own"], other.values["own"])


@pytest.mark.parametrize("name", [*LATENTS, *FAMILIES, "own", "mixture"])
def test_of_every_family(name):
    if name == "mixture":
        vae = toy(DiagonalGaussian, 3, prior=MixturePrior(3))
    else:
        vae = toy((LATENTS | FAMILIES | {"own": BareLatent})[name], 3)
    x = torch.rand(120, *SHAPE).round()
    part = Codes()
    assert part.seconds(subject_of(vae, x)) > 0
    found = asked(part, vae, x)
    numbers = found.numbers
    assert all(math.isfinite(n.value) and n.se >= 0 for n in numbers.values())
    assert ("rate_mc" in found.values) == (name in ("own", "mixture"))
    lower, upper = numbers["mutual_information"], numbers["mutual_information_upper"]
    assert -LIMIT * lower.se <= lower.value <= upper.value + LIMIT * upper.se
    assert lower.value <= math.log(120) + 1e-9
    assert numbers["marginal_kl"].value >= -LIMIT * numbers["marginal_kl"].se
    assert len(found.remarks) == 2


def test_one_image_has_no_mutual_information():
    model = linear_gaussian(2, 6)
    _, x = model.draw(3)
    assert Codes().why_not(subject_of(model, x, limit=1)) is None
    assert "two images" in Codes().why_not(subject_of(model, x[:1]))
    with pytest.raises(ValueError, match="codes_mixture must be at least 2, got 1"):
        Codes(mixture=1)


def test_verdicts():
    assert "holds 2.00 to 3.00 nats" in information_verdict(2.0, 3.0, 10_000)
    assert "ceiling log N = 9.21" in information_verdict(9.2, 25.0, 10_000)
    assert information_verdict(0.01, 0.05, 10_000).startswith("posterior collapse")
    assert "holds 0.01 to 0.50 nats" in information_verdict(0.01, 0.5, 10_000)
    assert "at most 0.07 nats" in information_verdict(0.01, 0.05, 10_000, 0.01)
    assert "at most 0.02 nats" in information_verdict(-0.05, -0.04, 10_000, 0.03)
    few = information_verdict(0.02, 0.03, 30, 0.04)
    assert "collapse:" not in few and few.endswith("too few images to tell whether it collapsed")
