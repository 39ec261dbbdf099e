"""The gradient report: its arithmetic on constructed numbers, its truth on small models, its script."""

import csv
import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from PIL import Image

from vae import CUBO, ELBO, IWAE, VAE, BetaTC, FreeBits, Renyi, Separate
from vae.analysis.cost import cost
from vae.analysis.gradients import posterior_gradients, warm_up
from vae.analysis.moments import Moments, summarize
from vae.analysis.truth import measure, true_gradient
from vae.data.digits import DigitsDataModule
from vae.estimators import Enumerate, named
from vae.models.bound import bound
from vae.models.composition import compose
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.hierarchy import Hierarchy
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.run.last import LastCheckpoint
from vae.training.callbacks.shadows import ShadowEstimators
from vae.training.presets import DiscreteVAE, GaussianVAE

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (1, 2, 2)


def toy(latent_class=Binary, size=3):
    latent = latent_class(6, size)
    likelihood = Bernoulli(MLPDecoder(latent.code_features, SHAPE, hidden=[6]))
    return VAE(MLPEncoder(SHAPE, [6]), latent, likelihood).double()


@pytest.fixture
def x():
    return torch.randint(0, 2, (4, *SHAPE)).double()


def moments_of(vae, objective, name, x, n, chunk, truth=None):
    estimator = named(name).double().eval()
    moments = [Moments(truth), Moments()]
    for parts in posterior_gradients(vae, objective, estimator, x, n, chunk):
        for m, g in zip(moments, parts, strict=True):
            m.add(g)
    return moments


def test_moments_are_those_of_the_whole_whatever_the_chunks():
    g = torch.randn(1000, 7).double() * 3 + 5
    truth = torch.randn(7).double()
    for sizes in ([1000], [1, 9, 490, 500], [100] * 10):
        moments = Moments(truth)
        for part in g.split(sizes):
            moments.add(part)
        torch.testing.assert_close(moments.mean, g.mean(0))
        torch.testing.assert_close(moments.variance, g.var(0))
        along = g @ (truth / truth.norm())
        across = (g - along[:, None] * truth / truth.norm()).norm(dim=1)
        assert moments.dsnr == pytest.approx((along.abs() / across).mean().item())


def exact(truth):
    moments = Moments()
    moments.add(truth[None])
    return moments


@pytest.mark.parametrize("bias", [0.0, 0.15])
@pytest.mark.parametrize("averaged", [False, True])
def test_the_error_of_the_bias_is_right_for_correlated_coordinates(bias, averaged):
    """500 coordinates that move as six do: the error of independent ones would be a fifth of
    this."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(6, 500, generator=generator).double()

    def noisy(n, shift):
        g = torch.randn(n, 6, generator=generator).double() @ mix + shift
        moments = Moments()
        for part in g.split(13):
            moments.add(part)
        return moments

    found = [
        summarize(noisy(60, bias), noisy(100, 0.0) if averaged else exact(torch.zeros(500)))
        for _ in range(400)
    ]
    values = torch.tensor([s.bias_squared for s in found])
    error = values.std().item()
    assert abs(values.mean().item() - 500 * bias**2) < 5 * error / 20  # false alarm: 6e-7
    mean_square = torch.tensor([s.bias_error**2 for s in found]).mean().item()
    assert 0.9 * error < math.sqrt(mean_square) < 1.4 * error  # on the safe side


def test_the_summary_sees_a_bias_and_only_a_bias():
    truth = torch.tensor([1.0, -2.0, 0.5]).double()
    for bias in (0.0, 0.3):
        moments = Moments(truth)
        moments.add(truth + bias + torch.randn(20_000, 3).double() * 2)
        summary = summarize(moments, exact(truth))
        assert abs(summary.bias_squared - 3 * bias**2) < 6 * summary.bias_error
        assert (summary.bias_squared > 6 * summary.bias_error) == (bias > 0)
        assert summary.variance == pytest.approx(12, rel=0.05)
        snr = (truth + bias).norm().item() / math.sqrt(12)
        assert summary.snr == pytest.approx(snr, abs=0.03)
        assert summary.cosine > 0.95


@pytest.mark.parametrize("objective", [ELBO(2), ELBO(2, analytic_kl=False), IWAE(2)])
def test_exact_gradients_are_those_of_the_mean_bound(objective, x):
    vae, objective = toy(), objective.double()
    ((at_q, at_encoder),) = posterior_gradients(vae, objective, Enumerate(), x, 1, 1)
    q = vae.posterior(x)
    q.base_dist.logits.retain_grad()
    bound = Enumerate()(q, lambda z, q: objective.integrand(vae, x, z, q), objective).bound
    (bound - objective.penalty(vae, q)).mean().backward()
    torch.testing.assert_close(at_q[0], q.base_dist.logits.grad.flatten())
    own = [p.grad.flatten() for m in (vae.encoder, vae.latent) for p in m.parameters()]
    torch.testing.assert_close(at_encoder[0], torch.cat(own))


@pytest.mark.parametrize("name, biased", [("rloo", False), ("disarm", False), ("st_gumbel", True)])
def test_bias_is_reported_where_there_is_one(name, biased, x):
    vae, objective = toy(), ELBO(2).double()
    truth = moments_of(vae, objective, "enumerate", x, 1, 1)
    found = moments_of(vae, objective, name, x, 20_000, 5000)
    for m, t in zip(found, truth, strict=True):
        summary = summarize(m, t)
        assert (summary.bias_squared > 8 * summary.bias_error) == biased


def test_costs_are_counted(x):
    vae, objective = toy(), ELBO(3).double()
    assert cost(vae, objective, named("rloo"), x, 2).evaluations == 3
    two = cost(vae, objective, named("disarm"), x, 2)
    assert two.evaluations == 6 and two.milliseconds > 0 and two.megabytes > 0
    assert all(p.grad is None for p in vae.parameters())


def test_warming_up_trains_the_estimator_and_not_the_model(x):
    vae, objective, estimator = toy(), ELBO(2).double(), named("nvil").double()
    warm_up(vae, objective, estimator, lambda: x, 1)
    before = [p.clone() for p in vae.parameters()], [p.clone() for p in estimator.parameters()]
    warm_up(vae, objective, estimator, lambda: x, 5)
    assert all(torch.equal(a, b) for a, b in zip(before[0], vae.parameters(), strict=True))
    assert not all(
        torch.equal(a, b) for a, b in zip(before[1], estimator.parameters(), strict=True)
    )
    assert not estimator.training


def test_shadows_are_tracked_and_do_not_touch_the_run(tmp_path):
    from small import ONE_HOT, SMALL, fit, logged

    from vae.run.folder import new_run

    ends, names = [], ["st_gumbel", "rebar", "nvil", "relax"]
    for watched in (False, True):
        torch.manual_seed(0)
        shadows = [ShadowEstimators(names, 10, 20, 4, 3)] if watched else []
        module, run = (
            DiscreteVAE(estimator="rloo", num_samples=2, **ONE_HOT, **SMALL),
            new_run("t"),
        )
        fit(module, run, 25, callbacks=shadows)
        ends.append(module.state_dict())
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])
    rows = [line for line in logged(run) if "grad/variance/trained" in line]
    assert [row["step"] for row in rows] == [9, 19]
    for row in rows:
        for name in ("trained", *names):
            assert row[f"grad/variance/{name}"] > 0 and math.isfinite(row[f"grad/snr/{name}"])


def test_shadows_learn_on_in_a_run_that_is_continued(tmp_path):
    from small import ONE_HOT, SMALL, fit, logged

    from vae.run.folder import new_run

    def run_of(steps, checkpoint=None):
        torch.manual_seed(0)
        shadows = ShadowEstimators(["nvil", "rebar", "reinforce_moving_average"], 10, 20, 4, 3)
        module = DiscreteVAE(estimator="rloo", num_samples=2, **ONE_HOT, **SMALL)
        run, options = new_run("t"), {"ckpt_path": checkpoint, "enable_checkpointing": True}
        fit(module, run, steps, callbacks=[shadows, LastCheckpoint(tmp_path)], **options)
        return [{k: v for k, v in row.items() if k.startswith("grad")} for row in logged(run)]

    whole = [row for row in run_of(35) if row]
    parts = [row for row in run_of(21) if row]  # an epoch
    parts += [row for row in run_of(35, tmp_path / "last.ckpt") if row]
    assert len(whole) == 3 and whole == parts


def test_a_shadow_that_is_not_defined_is_refused_before_the_first_step():
    from small import ONE_HOT, SMALL, fit

    from vae.run.folder import new_run

    def gaussian():
        return GaussianVAE(latent_dim=2, **SMALL)

    def one_hot():
        return DiscreteVAE(estimator="rloo", num_samples=2, **ONE_HOT, **SMALL)

    for make, name, words in (
        (one_hot, "vimco", "is not defined for ELBO: it takes IWAE"),
        (one_hot, "disarm", "is not defined"),
        (gaussian, "stl", "stl is pathwise here, bit for bit: .* --model.kl monte_carlo"),
    ):
        module = make()
        with pytest.raises(MisconfigurationException, match=words):
            fit(module, new_run("t"), 25, callbacks=[ShadowEstimators([name])])
        assert module.global_step == 0


def test_a_shadow_without_noise_has_no_ratio():
    from small import SMALL, fit, logged

    from vae.run.folder import new_run

    module, run = DiscreteVAE(latent="binary", num_variables=3, **SMALL), new_run("t")
    fit(module, run, 10, callbacks=[ShadowEstimators(["enumerate"], 10, 20, 4, 3)])
    (row,) = [row for row in logged(run) if "grad/variance/enumerate" in row]
    assert row["grad/variance/enumerate"] == pytest.approx(0, abs=1e-12)
    assert "Infinity" not in (run / "metrics.jsonl").read_text()


REPORT = {"images": 3, "replicates": 40, "chunk": 20, "warm_up_steps": 2}


@pytest.fixture
def report_of(monkeypatch, tmp_path):
    """The rows and the JSON of a report at a module after three steps."""
    from small import fit

    from vae.cli import gradients
    from vae.run.folder import new_run

    def report(module, **options):
        path = tmp_path / "x.ckpt"
        fit(module, new_run("t"), 3).save_checkpoint(path)
        rows = gradients.report(str(path), **(REPORT | options))
        return rows, json.loads((tmp_path / "gradients.json").read_text())

    return report


@pytest.mark.parametrize(
    "objective, K, bounds",
    [
        (Renyi(3, -1.0), 3, "no guaranteed bound"),
        (Separate(CUBO(4), ELBO(1)), 4, "no guaranteed bound"),
        (FreeBits(2), 2, "a lower bound of log p(x)"),
    ],
)
def test_the_objective_that_was_trained(report_of, objective, K, bounds):
    from small import SMALL

    module = DiscreteVAE(**SMALL, latent="binary", num_variables=3, objective=objective)
    rows, about = report_of(module, objective="trained", estimators=["reinforce", "disarm"])
    of_q = getattr(objective, "for_q", objective)
    assert about["objective"] == type(of_q).__name__ and about["bounds"].startswith(bounds)
    assert {row["num_samples"] for row in rows} == {K}
    assert about["truth"] == "enumeration"
    assert all(abs(row["bias_squared"]) < 8 * row["bias_error"] + 1e-6 for row in rows)
    with pytest.raises(ValueError, match="has its own num_samples"):
        report_of(module, objective="trained", num_samples=5)


def test_a_gradient_of_coupled_images_has_no_report(report_of):
    from small import SMALL

    module = GaussianVAE(**SMALL, objective=BetaTC(1000))
    with pytest.raises(NotImplementedError, match="BetaTC couples the images of a batch"):
        report_of(module, objective="trained", estimators=["pathwise"])


@pytest.mark.parametrize("K", [1, 3])
def test_many_discrete_latents_have_a_long_average_for_truth_of_any_bound(report_of, K):
    from small import SMALL

    module = DiscreteVAE(num_variables=8, num_categories=10, **SMALL)
    names = ["reinforce", "disarm_tree", "st_gumbel"]
    options = {"objective": "iwae", "num_samples": K, "reference_replicates": 60}
    rows, about = report_of(module, estimators=names, **options)
    assert [row["estimator"] for row in rows] == names
    assert about["truth"] == f"{'vimco' if K > 1 else 'reinforce'}, 60 of K = {K}"


def test_the_report_is_of_the_bound_that_was_trained(report_of):
    from small import ONE_HOT, SMALL

    concrete = DiscreteVAE(**ONE_HOT, kl="relaxed", temperature=0.7, beta=2.0, **SMALL)
    rows, about = report_of(concrete, estimators=["pathwise"], reference_replicates=40)
    assert (about["beta"], about["analytic_kl"]) == (2.0, False)
    tempered = DiscreteVAE(**ONE_HOT, temperature=0.7, **SMALL)
    _, about = report_of(tempered, estimators=["gumbel_softmax"], reference_replicates=40)
    assert (about["beta"], about["analytic_kl"]) == (1.0, True)
    assert about["temperature"] == pytest.approx(0.7)
    _, about = report_of(tempered, estimators=["gumbel_softmax"], temperature=0.1)
    assert about["temperature"] == 0.1


def test_stl_is_measured_where_it_differs_from_pathwise(report_of, tmp_path):
    from small import SMALL

    closed = GaussianVAE(latent_dim=2, **SMALL)
    options = {"estimators": ["pathwise", "stl", "rloo"], "reference_replicates": 40}
    rows, about = report_of(closed, **options)
    assert [(row["label"], row["estimator"], row["kl"]) for row in rows] == [
        ("pathwise", "pathwise", "analytic"),
        ("pathwise, Monte-Carlo KL", "pathwise", "monte_carlo"),
        ("stl, Monte-Carlo KL", "stl", "monte_carlo"),
        ("rloo", "rloo", "analytic"),
    ]
    variances = [row["variance"] for row in rows]
    assert len(set(variances)) == 4
    assert about["model"] == "2 Gaussian variables" and about["command"].startswith("python ")
    # the form of the KL is no bias: all have the one truth
    assert all(abs(row["bias_squared"]) < 6 * row["bias_error"] for row in rows)
    noisy, _ = report_of(GaussianVAE(latent_dim=2, kl="monte_carlo", **SMALL), **options)
    assert [row["label"] for row in noisy] == ["pathwise", "stl", "rloo"]


def test_two_names_of_one_estimator_are_said_to_be(report_of):
    from small import SMALL

    module = DiscreteVAE(latent="binary", num_variables=3, **SMALL)
    rows, _ = report_of(module, estimators=["rloo", "measure_valued", "local_expectation"])
    assert [row["same_as"] for row in rows] == [None, None, "measure_valued"]
    assert rows[2]["label"] == "local_expectation = measure_valued"
    gaussian = GaussianVAE(latent_dim=2, objective="iwae", num_samples=2, **SMALL)
    with pytest.raises(ValueError, match="gdreg is dreg here, bit for bit: the prior is not"):
        report_of(gaussian, estimators=["dreg", "gdreg"], objective="iwae")


def test_an_option_of_the_report_without_effect_is_refused(report_of):
    from small import SMALL

    module = DiscreteVAE(latent="binary", num_variables=3, **SMALL)
    with pytest.raises(ValueError, match="rloo, disarm: none has a temperature, leave it out"):
        report_of(module, estimators=["rloo", "disarm"], temperature=0.3)
    with pytest.raises(ValueError, match="none has a temperature"):
        report_of(GaussianVAE(latent_dim=2, **SMALL), temperature=0.3)
    with pytest.raises(ValueError, match="leave out num_samples"):
        report_of(module, match_evaluations=4, num_samples=2)


def test_a_temperature_is_no_parameter_of_q(x):
    from small import ONE_HOT, SMALL

    vae = DiscreteVAE(**ONE_HOT, kl="relaxed", **SMALL).vae
    images = torch.zeros(2, 1, 8, 8)
    ((g, _),) = posterior_gradients(
        vae, ELBO(2, analytic_kl=False), named("pathwise"), images, 1, 1
    )
    assert g.shape[1] == 2 * vae.posterior(images).base_dist.logits[0].numel()


def test_the_memory_is_that_of_what_is_kept_and_not_the_weights(x):
    vae = toy()
    before = cost(vae, ELBO(1).double(), named("disarm"), x, 1).megabytes
    assert 0 < before < 0.05
    twice = cost(vae, ELBO(1).double(), named("disarm"), x.repeat(2, 1, 1, 1), 1).megabytes
    assert twice == pytest.approx(2 * before, rel=0.2)


@pytest.mark.e2e
def test_the_report_of_a_checkpoint(tmp_path, monkeypatch, capsys):
    from small import SMALL, fit

    from vae.cli import gradients
    from vae.run.folder import new_run

    module = DiscreteVAE(latent="binary", num_variables=4, **SMALL)
    trainer = fit(module, new_run("t"), 3)
    path = tmp_path / "x.ckpt"
    trainer.save_checkpoint(path)
    options = {"images": 3, "replicates": 40, "chunk": 20, "warm_up_steps": 2}
    rows = gradients.report(str(path), **options)
    names = {row["estimator"] for row in rows}
    assert {"rloo", "disarm", "rebar", "st_gumbel", "local_expectation", "enumerate"} <= names
    assert not {"vimco", "pathwise", "disarm_sb"} & names
    read = json.loads((tmp_path / "gradients.json").read_text())
    assert read["truth"] == "enumeration" and len(read["rows"]) == len(rows)
    with (tmp_path / "gradients.csv").open() as file:
        assert [r["estimator"] for r in csv.DictReader(file)] == [r["estimator"] for r in rows]
    with Image.open(tmp_path / "gradients.png") as image:
        assert image.size[0] > 1000
    by_name = {row["estimator"]: row for row in rows}
    assert by_name["enumerate"]["variance"] == pytest.approx(0, abs=1e-9)
    assert by_name["enumerate"]["cosine"] == pytest.approx(1)
    matched = gradients.report(str(path), match_evaluations=4, **options)
    assert {row["evaluations"] for row in matched} == {4.0}
    assert {"rloo", "disarm"} <= {row["estimator"] for row in matched}
    assert "estimator" in capsys.readouterr().out


def test_the_report_of_a_run_is_a_table_of_its_page(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    import wandb_offline
    from small import SMALL, fit

    from vae.cli import gradients
    from vae.run.folder import new_run

    run = tmp_path / "20260101-000000-t-0000"
    module = DiscreteVAE(latent="binary", num_variables=3, **SMALL)
    fit(module, new_run("t"), 3).save_checkpoint(run / "checkpoints" / "best.ckpt")
    (run / "run.json").write_text("{}")
    options = {"images": 2, "replicates": 4, "chunk": 4, "warm_up_steps": 1}
    gradients.report(str(run), estimators=["rloo", "disarm"], **options)
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    page = wandb_offline.read(file)
    (row,) = page.history
    assert page.id == run.name and row["gradients._type"] == "table-file"
    assert row["gradients.nrows"] == 2 and row["gradients/figure._type"] == "image-file"


def test_a_continuous_model_is_judged_by_a_long_average(x):
    vae, objective = toy(DiagonalGaussian, 2), IWAE(2).double()
    truth = moments_of(vae, objective, "pathwise", x, 20_000, 5000)
    found = moments_of(vae, objective, "dreg", x, 2000, 1000, truth[0].mean)
    summary = summarize(found[0], truth[0])
    assert abs(summary.bias_squared) < 8 * summary.bias_error
    assert DigitsDataModule.image_shape == (1, 8, 8)


def test_a_report_of_stochastic_layers_knows_the_networks_between_them():
    """The gradient of one replicate is that of the whole model's parameters; the truth is a sum."""
    latent = partial(Hierarchy, layers=[partial(Binary, num_variables=size) for size in (3, 2)])
    objective = ELBO(2, analytic_kl=False)
    vae = compose((1, 4, 4), latent=latent, estimator="rloo", objective=objective).vae
    x = torch.rand(3, 1, 4, 4).round()
    torch.manual_seed(1)
    (_, found), *_ = posterior_gradients(vae, objective, named("rloo"), x, 1, 1)
    torch.manual_seed(1)
    of_encoder = [
        p
        for part, module in (("encoder", vae.encoder), ("latent", vae.latent))
        for n, p in module.named_parameters()
        if not n.startswith("down.") and "prior_" not in n
    ]
    value = bound(vae, objective, named("rloo"), x).bound.mean()
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(value, of_encoder)])
    torch.testing.assert_close(found[0], expected)
    truth = true_gradient(vae, objective, x, 10, 10, 0)
    assert truth.source == "enumeration"
    row = measure(vae, objective, named("rloo"), x, truth, 400, 100)
    assert row["cosine"] > 0.9
