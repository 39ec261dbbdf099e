"""The parts ais and rate_distortion: numbers with their labels, what is drawn, what is said."""

import math

import pytest
import torch
from asked import asked, subject_of
from known import linear_gaussian
from one_variable import one_variable

from vae import VAE
from vae.evaluation.ais import AIS
from vae.evaluation.annealing import Bridge
from vae.evaluation.bdmc import simulate
from vae.evaluation.part import Subject
from vae.evaluation.rate_distortion import RateDistortion, rate_distortion
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.prior import Prior


@pytest.fixture
def pca():
    vae = linear_gaussian(3, 10, 0.5, orthogonal=False)
    vae.set_encoder(shift=1.0)
    return vae


def test_the_lower_bound_stands_beside_both_bounds_of_the_models_own_images(pca):
    z, x = pca.draw(30)
    answer = asked(AIS(40, 16, simulated=20), pca, x, batch_size=12)
    lower, gap = answer.numbers["ais"], answer.numbers["bdmc_gap"]
    assert lower.bound == "lower bound" and not lower.warning
    assert lower.value == pytest.approx(pca.log_p(x).mean().item(), abs=0.05)
    assert lower.labels["temperatures"] == 40 and lower.labels["chains"] == 16
    assert 0.7 < lower.labels["acceptance"] < 0.9 and 4 < lower.labels["ess"] <= 16
    assert lower.labels["gap"] == gap.value
    assert abs(gap.value) < 0.1 + 5 * gap.se and gap.images == 20
    bounds = [answer.numbers[f"bdmc_{side}"] for side in ("lower", "upper")]
    for number in (gap, *bounds):  # a row that an earlier evaluation has left says how it was made
        assert number.labels["temperatures"] == 40 and number.labels["chains"] == 16
    assert [b.bound for b in bounds] == ["lower bound", "upper bound"]
    assert bounds[1].value - bounds[0].value == pytest.approx(gap.value)
    truth = -pca.evidence().entropy().item()  # E[log p(x)] of the model's own images
    for b in bounds:
        assert abs(b.value - truth) < 5 * b.se


def test_the_same_seed_and_images_give_the_same_answer_and_take_nothing_from_others(pca):
    _, x = pca.draw(6)
    part, subject = AIS(5, 2, simulated=2), subject_of(pca, x)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = part.measure(subject, x, 0)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(6)
    second = part.measure(subject, x, 0)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=0, rtol=0, equal_nan=True)
    assert not part.measure(subject, x, 6)["lower"].equal(first["lower"])
    assert not part.measure(subject._replace(seed=1), x, 0)["lower"].equal(first["lower"])


def test_the_models_own_images_are_as_many_as_were_asked_for(pca):
    _, x = pca.draw(7)
    for simulated, batch, seen in ((5, 3, 5), (5, 7, 5), (9, 3, 7), (0, 3, 0)):
        answer = asked(AIS(2, 1, simulated=simulated), pca, x, batch_size=batch)
        assert answer.values["simulated_upper"].isfinite().sum() == seen
        assert ("bdmc_gap" in answer.numbers) == (seen > 0)


def test_chains_that_did_not_mix_are_said_not_to_have():
    vae = linear_gaussian(4, 10, 0.05, orthogonal=False)
    _, x = vae.draw(20)
    warning = asked(AIS(2, 8, start="prior"), vae, x).numbers["ais"].warning
    assert warning.startswith("chains did not mix: on its own images the bounds are ")
    assert "one chain outweighs the others for" in warning and "--ais_temperatures" in warning
    values = {
        "lower": torch.zeros(3).double(),
        "acceptance": torch.full((3,), 0.1).double(),
        "effective": torch.full((3,), 7.0).double(),
        **{f"simulated_{n}": torch.zeros(3).double() for n in ("lower", "upper", "acceptance")},
    }
    (number, *_) = AIS().numbers(subject_of(vae, x), values)
    assert number.warning == (
        "chains did not mix: acceptance is 0.10, not between 0.3 and 0.97: more --ais_temperatures"
    )


@pytest.mark.parametrize("side", ["lower", "upper"])
@pytest.mark.parametrize("value", [-math.inf, math.nan])
def test_no_image_of_its_own_is_left_out_because_its_bound_is_not_finite(pca, side, value):
    _, x = pca.draw(4)
    part, subject = AIS(2, 2, simulated=3), subject_of(pca, x)
    values = {name: v.double() for name, v in part.measure(subject, x, 0).items()}
    values[f"simulated_{side}"][1] = value
    numbers = {number.name: number for number in part.numbers(subject, values)}
    gap = numbers["bdmc_gap"]
    assert gap.images == 3 and not math.isfinite(gap.value)
    if side == "lower":
        assert "on its own images the bounds are" in numbers["ais"].warning


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temperatures": 0}, "ais: temperatures must be at least 1, got 0"),
        ({"chains": 0}, "ais: chains must be at least 1, got 0"),
        ({"simulated": -1}, "ais: simulated must be at least 0, got -1"),
        ({"batch": 0}, "ais: batch must be at least 1, got 0"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        AIS(**options)


def test_a_support_without_coordinates_is_named():
    class Odd(Prior):
        def __init__(self, latent):
            super().__init__()

        def forward(self, posterior):
            class Table(torch.distributions.Normal):
                support = torch.distributions.constraints.symmetric  # of no vector

            base = Table(torch.zeros(1), torch.ones(1), validate_args=False)
            return torch.distributions.Independent(base, 1, validate_args=False)

    plain = one_variable("gaussian")
    assert isinstance(plain.latent, DiagonalGaussian)
    vae = VAE(plain.encoder, plain.latent, plain.likelihood, Odd(plain.latent)).eval()
    x = torch.zeros(2, *plain.image_shape)
    for part in (AIS(), RateDistortion()):
        why = part.why_not(subject_of(vae, x))
        assert why is not None and "no way is known from the real numbers to the support" in why


def test_a_trial_says_about_how_long_an_image_takes(pca):
    _, x = pca.draw(2)
    few, many = (AIS(T, 8).seconds(subject_of(pca, x)) for T in (10, 1000))
    assert 0 < few < many


def test_the_seconds_count_the_runs_of_its_own_images(pca, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("vae.evaluation.ais.time.perf_counter", lambda: float(next(clock)))
    _, x = pca.draw(20)
    # two pilot chains and eight; both ways for half of the images, or for all
    for simulated, runs in ((0, 1.25), (10, 1.25 + 0.5 * 2.25), (50, 1.25 + 2.25)):
        seconds = AIS(10, 8, simulated=simulated).seconds(subject_of(pca, x))
        assert seconds == pytest.approx(1 / 2 / 10 * 10 * runs)


def test_the_curve_is_that_of_probabilistic_pca(pca):
    _, x = pca.draw(100)
    betas = 3 * torch.linspace(0, 1, 201, dtype=torch.float64) ** 2
    found = rate_distortion(Bridge(pca, x, "prior"), betas, 20)
    assert found.rate.shape == found.distortion.shape == (100, 201)
    assert (found.rate[:, 0] == 0).all()
    for at in (20, 60, 115, 200):
        rate, distortion = pca.rate_distortion(x, betas[at].item())
        for name, error in (
            ("rate", found.rate[:, at] - rate),
            ("distortion", found.distortion[:, at] - distortion),
        ):
            se = error.std() / math.sqrt(len(error))
            assert error.mean().abs() < 0.05 + 5 * se, (name, betas[at])
            assert se < {"rate": 0.1, "distortion": 0.5}[name]
    with pytest.raises(ValueError, match="starts from the prior"):
        rate_distortion(Bridge(pca, x, "q"), betas)


def test_the_part_keeps_the_whole_curve_and_shows_some_of_it(pca):
    _, x = pca.draw(9)
    part = RateDistortion(30, 8, largest=2.0)
    answer = asked(part, pca, x, batch_size=4)
    for name in ("rate", "distortion", "beta"):
        assert answer.values[name].shape == (9, 31)
    names = [
        f"{name}_{b}" for b in ("0.1", "0.25", "0.5", "1", "2") for name in ("rate", "distortion")
    ]
    assert list(answer.numbers) == names
    assert answer.numbers["rate_2"].bound == "upper bound"
    rate, distortion = pca.rate_distortion(x, 2.0)
    assert answer.numbers["rate_2"].value == pytest.approx(rate.mean().item(), abs=1.0)
    assert answer.numbers["rate_2"].labels["beta"] == 2.0
    for options in ({"largest": 0.0}, {"temperatures": 0}, {"chains": 0}, {"batch": 0}):
        with pytest.raises(ValueError, match="rate_distortion: "):
            RateDistortion(**options)


def test_images_that_the_model_draws_are_of_its_latents():
    vae = one_variable("von_mises")
    z, x = simulate(vae, 6)
    assert z.shape == (6, 1) and x.shape == (6, *vae.image_shape) and not x.requires_grad
    assert isinstance(subject_of(vae, x), Subject)
