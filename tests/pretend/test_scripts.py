"""Evaluation, images, the gradient report, replays and many models at once on a pretend device,
some of them where there is no float64."""

import json

import pretend_device
import pytest
import torch
from matplotlib.image import imread
from pretend_runs import COMMON, DEVICE, MODELS, STEPS, THERE
from torch.testing import assert_close

from vae.analysis.images import reconstruction_grid, sample_grid
from vae.cli import gradients
from vae.cli.app import VAECLI
from vae.cli.evaluate import evaluate
from vae.cli.main import run as run_verb
from vae.cli.replay import replay
from vae.cli.train_many import ManyCLI
from vae.evaluation.exact import exact_log_likelihood
from vae.evaluation.mutual_information import Codes
from vae.models.checkpoint import read_checkpoint
from vae.run.checkpoint import load
from vae.run.record import find_device


@pytest.fixture
def run(train):
    """A trained model's folder."""
    return train("gumbel", *THERE, "--trainer.max_steps", str(STEPS))[0]


@pytest.fixture
def without_float64():
    pretend_device.FLAGS.float64 = False


def test_an_evaluation_is_the_cpus_to_its_noise(run, tmp_path, without_float64):
    assert find_device("auto") == "pretend"
    parts = {"parts": [Codes()]}
    found = evaluate(str(run), device="auto", output=str(tmp_path / "x.json"), **parts)
    here = evaluate(str(run), device="cpu", output=str(tmp_path / "y.json"), **parts)
    assert found["hardware"] == "Pretend 100" != here["hardware"]
    assert {"elbo", "active_units", "perplexity", "mutual_information"} <= set(found["metrics"])
    for name, row in found["metrics"].items():
        error = 1e-3 if row["se"] is None else row["se"]  # of what is the same to rounding
        assert row["mean"] == pytest.approx(here["metrics"][name]["mean"], abs=5 * error)


def test_a_log_likelihood_needs_no_float64_and_waits_for_nothing(run, without_float64):
    vae = load(run)[0].vae.to(DEVICE)
    x = torch.rand(4, 1, 8, 8).round().to(DEVICE)
    pretend_device.FLAGS.float64 = True
    pretend_device.LOG.clear()
    wide = vae.log_likelihood(x, 3000, chunk=1000)
    assert pretend_device.LOG == [] and wide.device == DEVICE
    pretend_device.FLAGS.float64 = False
    narrow = vae.log_likelihood(x, 3000, chunk=1000)
    exact = exact_log_likelihood(vae, x)
    for value in (wide, narrow):
        assert_close(value.cpu(), exact.cpu(), atol=0.5, rtol=0)


def test_grids_are_drawn_there(run):
    vae = load(run)[0].vae.to(DEVICE)
    x = torch.rand(4, 1, 8, 8).to(DEVICE)
    pretend_device.LOG.clear()
    for grid in (reconstruction_grid(vae, x), sample_grid(vae, 4)):
        assert grid.device == DEVICE and grid.shape[0] == 3
    assert pretend_device.LOG == []


@pytest.mark.parametrize("verb", ["interpolate", "traverse", "latent-map", "code-usage", "kl"])
def test_pictures_are_drawn_there_as_here(verb, run, tmp_path, without_float64):
    words = ["--method", "pca"] if verb == "latent-map" else []
    files = []
    for device in ("pretend", "cpu"):
        files.append(tmp_path / f"{device}.png")
        run_verb(verb, verb, [str(run), "--device", device, "--output", str(files[-1]), *words])
    here, there = (imread(path) for path in files)
    assert here.shape == there.shape and abs(here - there).mean() < 0.01


def test_the_gradient_report(run, tmp_path, without_float64):
    names = ["gumbel_softmax", "rebar", "enumerate"]
    rows = gradients.report(
        str(run),
        names,
        images=2,
        replicates=200,
        chunk=100,
        warm_up_steps=2,
        device="pretend",
        output=str(tmp_path / "g"),
    )
    assert [row["estimator"] for row in rows] == names
    assert {row["megabytes"] for row in rows} == {3.0}  # the device's own count
    assert rows[2]["variance"] < 1e-6 < rows[1]["variance"]


def test_a_replay_goes_on_there(run, capsys):
    assert replay(str(run), 3, "pretend") is None
    assert f"all finite in 3 steps from step {STEPS} on" in capsys.readouterr().out


def test_many_models_at_once_are_those_trained_alone(monkeypatch, tmp_path):
    model = MODELS["gumbel"][: MODELS["gumbel"].index("--trainer.callbacks")]
    words = [*COMMON, *model, *THERE, "--data.batch_size", "512", "--trainer.max_epochs", "2"]
    monkeypatch.setattr("sys.argv", ["train_many.py", "fit", *words, "--seeds", "2"])
    ManyCLI()
    monkeypatch.setattr("sys.argv", ["train.py", "fit", *words, "--seed_everything", "1"])
    alone = VAECLI().run
    (together,) = tmp_path.glob("*-seed1-*")
    ends = [read_checkpoint(run / "checkpoints" / "best.ckpt") for run in (together, alone)]
    assert_close(ends[0]["state_dict"], ends[1]["state_dict"], rtol=1e-4, atol=1e-5)
    found, expected = (
        json.loads((run / "results.json").read_text())["metrics"] for run in (together, alone)
    )
    assert found == pytest.approx(expected, rel=1e-4)
