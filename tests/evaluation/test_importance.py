"""The bound of K samples rises to a known log p(x), and says when it is not near."""

import math

import pytest
import torch
from asked import asked, subject_of
from known import Enumerated, linear_gaussian, small_one_hot

from vae.evaluation.importance import Estimate, ImportanceWeighted, importance_weighted
from vae.models.log_likelihood import log_weights
from vae.models.memory import DECODINGS


def wide(**options):
    """Probabilistic PCA with a q of twice the posterior's spread: its weights are bounded."""
    model = linear_gaussian(latent_dim=2, pixels=6, **options)
    model.set_encoder(shift=0.5, stretch=2.0)
    return model, model.draw(400)[1]


def test_it_rises_to_the_exact_log_p_of_a_linear_gaussian_model(assert_mean):
    model, x = wide()
    found = importance_weighted(model, x, [1, 10, 100, 10_000], seed=0)
    gaps = {K: model.log_p(x) - each.log_likelihood for K, each in found.items()}
    assert gaps[1].mean() > gaps[10].mean() > gaps[100].mean() > 0
    assert_mean(gaps[1], (model.log_p(x) - model.elbo(x)).mean())  # the ELBO's gap
    # second order: half the variance of the mean of the weights
    spread = 1 / found[10_000].ess - 1e-4
    assert_mean(gaps[10_000] - spread / 2, 0.0)
    assert spread.max() < 2e-3
    # p(x) itself is estimated without bias by any K
    for K in (1, 10, 100):
        assert_mean((-gaps[K]).exp(), 1.0)


def test_the_error_over_z_is_that_over_seeds():
    model, x = wide()
    values, stated = [], []
    for seed in range(60):
        numbers = asked(ImportanceWeighted([50]), model, x[:40], seed=seed).numbers
        values.append(numbers["log_likelihood_50"].value)
        stated.append(numbers["log_likelihood_50"].labels["se_z"])
    spread = torch.tensor(values).std() / torch.tensor(stated).mean()
    assert abs(spread - 1) < 5 / (2 * 60) ** 0.5


def test_it_agrees_with_enumeration(assert_mean):
    vae = small_one_hot()
    truth = Enumerated(vae)
    x = truth.images[::8]
    found = importance_weighted(vae, x, [100_000], seed=0)[100_000]
    error = (found.log_likelihood - truth.log_p(x)) / (1 / found.ess - 1e-5).sqrt()
    assert error.abs().max() < 3 and error.std() > 0.2


def test_the_diagnosis_is_that_of_the_plain_formulae():
    model, x = wide()
    x = x[:5]
    pieces = list(log_weights(model, x, 2_300, seed=2))
    w = torch.zeros(2_300, 5).double()
    for images, start, log_weight in pieces:
        w[start : start + len(log_weight), images] = log_weight.double().exp()
    for chunk in (150, None):
        found = importance_weighted(model, x, [30, 2_300], seed=2, chunk=chunk)
        for K, each in found.items():
            some = w[:K]
            expected = Estimate(
                some.mean(0).log(),
                some.sum(0) ** 2 / (some**2).sum(0),
                some.max(0).values / some.sum(0),
                each.pareto_k,
            )
            for one, other in zip(each, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-5, atol=0, equal_nan=True)
            assert each.pareto_k.isnan().all() == (K < 100)


def test_the_known_tail_of_a_narrow_q_is_found():
    # q of spread t < 1 in place of 1: log w = c + (1 / t^2 - 1) e^2 / 2 with e ~ N(0, t^2), so w has
    # the tail of exp(a chi^2 / 2) with a = 1 - t^2, a power law with shape k = 1 - t^2
    for stretch, bad in ((0.3, True), (0.9, False)):
        model = linear_gaussian(latent_dim=1)
        model.set_encoder(stretch=stretch)
        _, x = model.draw(60)
        found = importance_weighted(model, x, [5_000], seed=0)[5_000]
        assert abs(found.pareto_k.mean() - (1 - stretch**2)) < 0.15
        numbers = asked(ImportanceWeighted(5_000), model, x).numbers
        assert ("Pareto k exceeds 0.7" in numbers["log_likelihood_5000"].warning) == bad


def test_weights_that_are_all_the_same_are_trusted():
    model = linear_gaussian()  # its q is the posterior
    _, x = model.draw(20)
    numbers = asked(ImportanceWeighted([1, 10, 1000]), model, x).numbers
    for K in (1, 10, 1000):
        number = numbers[f"log_likelihood_{K}"]
        assert number.value == pytest.approx(model.log_p(x).mean().item(), abs=1e-4)
        assert number.warning == "" and number.bound == "lower bound" and number.labels["K"] == K
    assert numbers["log_likelihood_1000"].labels["ess"] == pytest.approx(1000, rel=1e-4)
    assert numbers["log_likelihood_10"].labels["pareto_k"] == "needs K >= 100"


def test_a_shifted_q_warns_of_its_largest_weights():
    model = linear_gaussian()
    model.set_encoder(shift=8.0, stretch=0.5)
    _, x = model.draw(50)
    number = asked(ImportanceWeighted(200), model, x).numbers["log_likelihood_200"]
    assert number.labels["max_weight_over_half"] > 0.5
    assert "the largest weight exceeds one half" in number.warning and "\n" not in number.warning


def test_answers_go_on_where_they_stopped():
    model, x = wide()
    part, subject = ImportanceWeighted([10, 1_100]), subject_of(model, x)
    whole = part.measure(subject, x[:9], 0)
    rest = part.measure(subject, x[4:9], 4)
    for name, value in rest.items():
        torch.testing.assert_close(value, whole[name][4:], equal_nan=True, rtol=1e-4, atol=1e-5)
    other = part.measure(subject._replace(seed=1), x[:9], 0)
    assert (other["log_likelihood_1100"] != whole["log_likelihood_1100"]).all()


def test_samples_of_weeks_are_those_of_the_images_that_are_asked():
    model = linear_gaussian(2, 6)
    _, x = model.draw(10)
    part = ImportanceWeighted(DECODINGS // 5)
    assert "weeks" in part.why_not(subject_of(model, x))
    part.images = 5
    assert part.why_not(subject_of(model, x)) is None


def test_a_trial_says_about_how_long_an_image_takes():
    model, x = wide()
    seconds = ImportanceWeighted(5_000).seconds(subject_of(model, x))
    assert 0 < seconds < 5 and math.isfinite(seconds)
