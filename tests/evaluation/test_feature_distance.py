"""The Fréchet distance of features: closed forms, a floor, and worse models that are further."""

import pytest
import torch
from plain_digits import PlainDigits
from probe_subject import asked, subject, tiny

import vae
from vae.data.digits import DigitsDataModule
from vae.data.source import images_of
from vae.evaluation.classifier import SmallClassifier, trained_classifier
from vae.evaluation.feature_distance import FeatureDistance, bootstrap_error, frechet_distance


def with_moments(count, mean, root):
    """Features whose empirical mean and covariance are exactly these: root @ root.T."""
    x = torch.randn(count, len(mean), dtype=torch.float64)
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False)
    return (root @ white).T + mean


def test_the_distance_of_gaussians_is_its_closed_form():
    mean = torch.tensor([1.0, -2.0, 0.5]).double()
    scales = torch.tensor([2.0, 0.1, 1.0]).double()
    first = with_moments(50, torch.zeros(3).double(), torch.eye(3).double())
    second = with_moments(80, mean, scales.diag())
    wanted = mean.square().sum() + (scales - 1).square().sum()
    assert frechet_distance(first, second) == pytest.approx(wanted.item(), rel=1e-9)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    # of covariances that do not commute: the trace of the root, by its eigenvalues
    one, two = torch.randn(2, 3, 3, dtype=torch.float64)
    found = frechet_distance(with_moments(40, 0 * mean, one), with_moments(60, mean, two))
    s, t = one @ one.T, two @ two.T
    values, vectors = torch.linalg.eigh(s)
    root = vectors @ values.clamp_min(0).sqrt().diag() @ vectors.T
    middle = torch.linalg.eigvalsh(root @ t @ root).clamp_min(0).sqrt().sum()
    wanted = mean.square().sum() + s.trace() + t.trace() - 2 * middle
    assert found == pytest.approx(wanted.item(), rel=1e-6)


def test_float32_features_far_from_zero_are_summed_in_float64():
    x = with_moments(50, torch.full((3,), 1000.0).double(), torch.eye(3).double())
    assert frechet_distance((x + 1).float(), x.float()) == pytest.approx(3, abs=1e-2)


def test_the_standard_error_is_that_of_new_images():
    shift = torch.tensor([3.0, 0.0])
    draws = [(torch.randn(300, 2), torch.randn(300, 2) + shift) for _ in range(40)]
    spread = torch.tensor([frechet_distance(*pair) for pair in draws]).std()
    errors = torch.tensor([bootstrap_error(*pair, seed=0) for pair in draws[:10]])
    assert 0.6 < errors.mean() / spread < 1.6  # 40 draws tell a spread to 11 %


def digits(**options):
    data = DigitsDataModule(**options)
    data.setup()
    return data


def test_a_classifier_follows_from_its_arguments():
    data = digits()
    x, y = next(iter(data.loader("train", batch_size=300))), data.labels("train", 300)
    state = torch.get_rng_state()
    one, two, other = (trained_classifier(x, y, seed, epochs=1) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one(x), two(x)) and not torch.equal(one(x), other(x))
    assert one.features(x).shape == (300, 64) and not one.training
    for shape in ((3, 32, 32), (1, 28, 28), (1, 1, 5)):
        assert SmallClassifier(shape, 4)(torch.rand(2, *shape)).shape == (2, 4)


def test_worse_models_are_further_and_the_floor_is_near_zero(trained_run):
    trained, data = vae.load(trained_run("gaussian")), digits()
    part = FeatureDistance(epochs=12)
    good, remarks, values = asked(part, subject(trained, data))
    bad, _, _ = asked(part, subject(tiny(), data))
    assert good["classifier_accuracy"].value > 80
    assert good["classifier_accuracy"].labels["train"] == 1297 - 250
    names = ["floor", "samples", "reconstructions"]
    floor, samples, again = (good[f"frechet_{name}"] for name in names)
    assert bad["frechet_floor"].value == floor.value  # the model plays no part
    assert 0 < floor.value < samples.value / 3
    assert floor.value < again.value < samples.value < bad["frechet_samples"].value
    assert floor.se > 0 and "of 250 images its bias is large" in floor.warning
    assert floor.labels["against"] == 250 and "not FID" in remarks[0]
    wanted = frechet_distance(values["images"], values["samples"])
    assert samples.value == pytest.approx(wanted)


def test_images_are_seen_as_the_data_are(monkeypatch):
    seen = []
    plain = SmallClassifier.features

    def features(self, x):
        if not x.requires_grad and not torch.is_grad_enabled():
            seen.append(x)
        return plain(self, x)

    monkeypatch.setattr(SmallClassifier, "features", features)
    part = FeatureDistance(train=100, epochs=1)
    for binarization in ("dynamic", "none"):
        seen.clear()
        asked(part, subject(tiny(), digits(binarization=binarization), limit=30))
        binary = all(set(x.unique().tolist()) <= {0.0, 1.0} for x in seen)
        assert len(seen) >= 4 and binary == (binarization == "dynamic")


def test_the_floor_is_of_images_that_the_classifier_has_not_seen():
    data, trained_on = digits(), []

    def classifier(x, y, *rest):
        trained_on.append((x, y))
        return trained_classifier(x, y, *rest)

    part = FeatureDistance(train=200, epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vae.evaluation.feature_distance.trained_classifier", classifier)
        asked(part, subject(tiny(), data, limit=50))
    ((x, y),) = trained_on
    rows = torch.cat(list(data.loader("train", batch_size=250)))
    assert torch.equal(x, rows[:200]) and torch.equal(y, data.labels("train", 200))
    floor = part._classifier.features(rows[200:250])
    assert torch.allclose(part.kept["floor"], floor, atol=1e-5)


def test_an_evaluation_that_goes_on_has_the_same_classifier(monkeypatch):
    about = subject(tiny(), digits(), limit=40)
    part = FeatureDistance(train=100, epochs=1)
    _, _, values = asked(part, about)
    monkeypatch.setattr("vae.evaluation.feature_distance.trained_classifier", None)
    again = FeatureDistance(train=100, epochs=1)
    again.kept = part.kept
    again.prepare(about)
    x = next(iter(about.data.loader("test", batch_size=40)))
    found = again.measure(about, x, 0)
    assert all(torch.allclose(found[n].double(), v, atol=1e-5) for n, v in values.items())
    assert "classifier_accuracy" in {number.name for number in again.numbers(about, values)}


def test_a_floor_of_fewer_images_is_said_to_be_no_floor():
    part = FeatureDistance(train=100, epochs=1)
    about = subject(tiny(), digits(), limit=40)
    _, _, values = asked(part, about)
    part.kept = {**part.kept, "floor": part.kept["floor"][:20], "accuracy": torch.ones(20)}
    found = {number.name: number for number in part.numbers(about, values)}
    floor, samples = found["frechet_floor"], found["frechet_samples"]
    assert floor.images == found["classifier_accuracy"].images == 20 and samples.images is None
    assert floor.warning == "of 20 images, the others of 40: its bias is larger than theirs"
    assert "compare with the floor" in samples.warning


def test_data_without_classes_have_no_answer():
    plain = images_of(PlainDigits(limit=60))
    assert "no labels, one whole number each" in FeatureDistance().why_not(subject(tiny(), plain))
    assert "evaluate on val" in FeatureDistance().why_not(subject(tiny(), digits(), split="train"))
    with pytest.raises(ValueError, match="features: numbers of images and epochs"):
        FeatureDistance(epochs=0)
