"""The gradient report: its arithmetic on constructed numbers, its truth on small models, its script."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from vae import ELBO, IWAE, VAE
from vae.callbacks import ShadowEstimators
from vae.data import DigitsDataModule
from vae.estimators import Enumerate, build
from vae.gradients import Moments, cost, posterior_gradients, summarize, warm_up
from vae.latents import Binary, DiagonalGaussian
from vae.likelihoods import Bernoulli
from vae.module import DiscreteVAE
from vae.networks import MLPDecoder, MLPEncoder

ROOT = Path(__file__).resolve().parent.parent
SHAPE = (1, 2, 2)


def toy(latent_class=Binary, size=3):
    latent = latent_class(6, size)
    likelihood = Bernoulli(MLPDecoder(latent.code_features, SHAPE, [6]))
    return VAE(MLPEncoder(SHAPE, [6]), latent, likelihood).double()


@pytest.fixture
def x():
    return torch.randint(0, 2, (4, *SHAPE)).double()


def moments_of(vae, objective, name, x, n, chunk, truth=None):
    estimator = build(name).double().eval()
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


def test_the_summary_sees_a_bias_and_only_a_bias():
    truth = torch.tensor([1.0, -2.0, 0.5]).double()
    for bias in (0.0, 0.3):
        moments = Moments(truth)
        moments.add(truth + bias + torch.randn(20_000, 3).double() * 2)
        summary = summarize(moments, truth)
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
        summary = summarize(m, t.mean)
        assert (summary.bias_squared > 8 * summary.bias_error) == biased


def test_costs_are_counted(x):
    vae, objective = toy(), ELBO(3).double()
    assert cost(vae, objective, build("rloo"), x, 2).evaluations == 3
    two = cost(vae, objective, build("disarm"), x, 2)
    assert two.evaluations == 6 and two.milliseconds > 0 and two.megabytes > 0
    assert all(p.grad is None for p in vae.parameters())
    assert "log_likelihood" not in vars(vae)


def test_warming_up_trains_the_estimator_and_not_the_model(x):
    vae, objective, estimator = toy(), ELBO(2).double(), build("nvil").double()
    warm_up(vae, objective, estimator, lambda: x, 1)
    before = [p.clone() for p in vae.parameters()], [p.clone() for p in estimator.parameters()]
    warm_up(vae, objective, estimator, lambda: x, 5)
    assert all(torch.equal(a, b) for a, b in zip(before[0], vae.parameters(), strict=True))
    assert not all(
        torch.equal(a, b) for a, b in zip(before[1], estimator.parameters(), strict=True)
    )
    assert not estimator.training


def test_shadows_are_tracked_and_do_not_touch_the_run(tmp_path):
    from test_module import ONE_HOT, SMALL, fit, logged

    from vae.tracking import new_run

    ends = []
    for shadows in ([], [ShadowEstimators(["st_gumbel", "rebar"], 10, 20, 4, 3)]):
        torch.manual_seed(0)
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
        for name in ("trained", "st_gumbel", "rebar"):
            assert row[f"grad/variance/{name}"] > 0 and math.isfinite(row[f"grad/snr/{name}"])


def test_the_report_of_a_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    import gradients
    from test_module import SMALL, fit

    from vae.tracking import new_run

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
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    import gradients
    import wandb_offline
    from test_module import SMALL, fit

    from vae.tracking import new_run

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
    summary = summarize(found[0], truth[0].mean, truth[0].variance / truth[0].count)
    assert abs(summary.bias_squared) < 8 * summary.bias_error
    assert DigitsDataModule.image_shape == (1, 8, 8)
