"""Probes of codes: accuracies that are known, fitted on training images, and said with what they are."""

import math

import pytest
import torch
from plain_digits import PlainDigits
from probe_subject import asked, subject, tiny
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae.data.digits import DigitsDataModule
from vae.data.source import images_of
from vae.evaluation.probe import Probe, RepresentationProbe, no_classes, reconstruction_error


def two_gaussians(count):
    """Classes N(-1, 1) and N(1, 1), of which no rule recognises more than Phi(1) = 0.841."""
    labels = torch.arange(count) % 2
    return (2.0 * labels - 1 + torch.randn(count))[:, None], labels


def test_accuracies_are_those_of_the_best_rule():
    probe = Probe(*two_gaussians(4000), neighbours=101)
    found = probe.correct(*two_gaussians(20_000))
    best = 0.5 * math.erfc(-(0.5**0.5))
    error = 5 * (best * (1 - best) / 20_000) ** 0.5  # false alarms: 6e-7 each
    assert abs(found["linear"].mean() - best) < error
    assert best - 0.02 < found["knn"].mean() < best + error
    assert probe.converged and set(found["knn"].tolist()) == {0.0, 1.0}


def test_an_accuracy_on_noise_is_chance():
    found = Probe(torch.randn(500, 3), torch.arange(500) % 4).correct(
        torch.randn(4000, 3), torch.arange(4000) % 4
    )
    for right in found.values():
        assert abs(right.mean() - 0.25) < 5 * (0.25 * 0.75 / 4000) ** 0.5


def test_a_regression_that_does_not_converge_is_said(monkeypatch):
    data = DigitsDataModule()
    data.setup()
    part = RepresentationProbe(train=100, pixels=False)
    one_step = lambda max_iter: LogisticRegression(max_iter=1)
    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", one_step)
    numbers, _, _ = asked(part, subject(tiny(), data, limit=20))
    assert numbers["probe_linear"].warning == "the logistic regression has not converged"
    assert not numbers["probe_knn"].warning and "probe_linear_pixels" not in numbers


def test_reconstruction_errors_are_those_of_a_constant():
    vae, x = tiny(constant=0.25), torch.rand(5, 1, 8, 8).round()
    found = reconstruction_error(vae, x)
    ones = x.flatten(1).double().mean(1)
    mse = (ones * 0.75**2 + (1 - ones) * 0.25**2).float()
    assert torch.allclose(found["mse"], mse, atol=1e-6)
    nats = -64 * (ones * math.log(0.25) + (1 - ones) * math.log(0.75)).float()
    assert torch.allclose(found["cross_entropy"], nats, rtol=1e-5)


def test_only_binary_likelihoods_have_a_cross_entropy():
    found = reconstruction_error(tiny(likelihood="gaussian"), torch.rand(3, 1, 8, 8))
    assert found.keys() == {"mse"} and found["mse"].shape == (3,)


def of_scikit_learn(data, vae, train, neighbours):
    """The accuracies in per cent on test images of what is fitted on the first training images."""
    sets = {}
    for split, limit in (("train", train), ("test", None)):
        x = torch.cat(list(data.loader(split, batch_size=33, limit=limit)))
        with torch.no_grad():
            code = vae.hard.posterior(x).mean.flatten(1)
        sets[split] = (code.numpy(), x.flatten(1).numpy(), data.labels(split, limit).numpy())
    found = {}
    for number, end in enumerate(("", "_pixels")):
        (x, y), (s, t) = ((sets[name][number], sets[name][2]) for name in ("train", "test"))
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y)
        nearest = KNeighborsClassifier(neighbours).fit(x, y)
        found[f"probe_linear{end}"] = 100 * linear.score(s, t)
        found[f"probe_knn{end}"] = 100 * nearest.score(s, t)
    return found


@pytest.mark.parametrize("latent", ["gaussian", "relaxed_one_hot"])
def test_the_part_answers_as_scikit_learn_does_of_codes_of_training_images(latent):
    vae, data = tiny(latent=latent), DigitsDataModule()
    data.setup()
    part = RepresentationProbe(train=400, neighbours=3)
    numbers, remarks, values = asked(part, subject(vae, data))
    wanted = of_scikit_learn(data, vae, 400, 3)
    assert not remarks and len(values["frequent"]) == 250
    for name, accuracy in wanted.items():
        assert abs(numbers[name].value - accuracy) <= 0.41  # one image: rounding
        p = numbers[name].value / 100
        assert numbers[name].se == pytest.approx(100 * (p * (1 - p) / 249) ** 0.5, rel=1e-6)
        assert numbers[name].labels["train"] == 400 and numbers[name].unit == "%"
    assert numbers["probe_linear"].labels["features"] == "mean of q"
    assert numbers["probe_knn"].labels["k"] == 3
    frequent = data.labels("train", 400).mode().values
    chance = 100 * (data.labels("test") == frequent).double().mean()
    assert numbers["probe_chance"].value == pytest.approx(chance.item())
    assert {"reconstruction_mse", "reconstruction_cross_entropy"} <= numbers.keys()
    again, _, _ = asked(part, subject(vae, data), batch_size=125)  # half of the batches
    assert all(again[name].value == pytest.approx(wanted[name], abs=0.41) for name in wanted)


def test_without_classes_reconstructions_are_left():
    plain = images_of(PlainDigits(limit=60))  # whose labels are floats
    numbers, remarks, _ = asked(RepresentationProbe(), subject(tiny(), plain, limit=40))
    assert numbers.keys() == {"reconstruction_mse", "reconstruction_cross_entropy"}
    (line,) = remarks
    assert line == (
        "probe: reconstruction errors only: the train images have no labels, one whole number each"
    )
    data = DigitsDataModule()
    data.setup()
    _, (line,), _ = asked(RepresentationProbe(), subject(tiny(), data, split="train", limit=20))
    assert "classes of training images: evaluate on val or test" in line


def test_one_class_is_nothing_to_probe():
    data = DigitsDataModule()
    data.setup()
    data._classes = {split: torch.zeros(data.count(split)).long() for split in data.splits}
    numbers, (line,), _ = asked(RepresentationProbe(), subject(tiny(), data, limit=20))
    assert "the training images are all of one class" in line and len(numbers) == 2


def test_why_classes_cannot_be_learned(monkeypatch):
    data = DigitsDataModule()
    data.setup()
    assert no_classes(subject(tiny(), data)) is None

    def missing(self):
        raise FileNotFoundError("not in there")

    monkeypatch.setattr(DigitsDataModule, "load_labels", missing)
    assert no_classes(subject(tiny(), data)) is None  # they are read already
    data._classes = {}
    assert no_classes(subject(tiny(), data)) == "not in there"


@pytest.mark.parametrize("options", [{"train": 0}, {"neighbours": 0}])
def test_numbers_below_one_are_refused(options):
    with pytest.raises(ValueError, match="probe: numbers of images and neighbours must be"):
        RepresentationProbe(**options)
