"""Parts of one's own, from a file in a folder of one's own, in every verb; and runs of older
versions."""

import importlib
import json
import shutil

import pytest
import torch
from chaos import ROOT, assert_same_run, run_of
from torch.testing import assert_close

from vae.certify import gradients, one_hot_problem
from vae.estimators import RLOO
from vae.objectives import ELBO

OWN = ROOT / "experiments" / "own_parts"
OLD = ROOT / "tests" / "old"
SMALL = ["--trainer.max_epochs", "4", "--model.test_samples", "5"]


@pytest.fixture
def vae(script, tmp_path):
    """``vae("sample", ...)``: the command, in a folder that holds the user's files."""
    for file in OWN.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)

    def run(*words, code=0, **variables):
        done = script("-m", "vae", *words, folder=tmp_path, VAE_RUNS_DIR="runs", **variables)
        assert done.code == code or code is None, done.out + done.err
        assert "Traceback" not in done.err, done.err
        return done

    return run


def test_the_estimator_of_ones_own_is_leave_one_out_on_a_single_image(monkeypatch):
    """Its baseline has no sample's own f: over one image it is RLOO's, whose claims are certified."""
    monkeypatch.syspath_prepend(OWN)
    mine = importlib.import_module("mine")
    problem, found = one_hot_problem(), []
    target = problem.log_target  # without -log q, whose score RLOO leaves out
    problem = problem._replace(f=lambda z, q: target(z))
    for estimator in (mine.BatchMean(), RLOO()):
        torch.manual_seed(1)
        found.append(gradients(estimator, problem, ELBO(8), 1)[0])
    assert found[0].abs().max() > 0.01, "the eight samples are not all the same"
    assert_close(*found)


@pytest.mark.e2e
def test_own_parts_work_in_every_verb(vae, tmp_path):
    vae("fit", "--config", "mine.yaml", *SMALL)
    run = run_of(tmp_path / "runs")
    verbs = {
        "evaluate": [],
        "encode": ["--limit", "20"],
        "reconstruct": ["--count", "4"],
        "sample": ["--count", "4"],
        "explore": ["--images", "3", "--kl_images", "20"],
        "interpolate": ["--count", "2", "--steps", "3"],
        "traverse": ["--count", "2", "--columns", "3"],
        "latent-map": ["--method", "pca"],
        "gradients": ["--estimators", "[rloo, mine.BatchMean]", "--replicates", "20",
                      "--reference_replicates", "20", "--images", "2", "--warm_up_steps", "0"],
    }  # fmt: skip
    for verb, options in verbs.items():
        refused = vae(verb, *options, code=2)
        assert "--trust mine" in refused.err and refused.err.count("\n") == 1
    assert {p.name for p in run.iterdir()} == {
        "checkpoints", "config.yaml", "images", "metrics.jsonl", "results.json", "run.json"
    }  # fmt: skip
    for verb, options in verbs.items():
        vae(verb, "--trust", "mine", *options)
    said = vae("kl", "--trust", "mine", code=2).err  # of a mixture there is none for each variable
    assert "their KL is no sum over variables" in said and said.count("\n") == 1
    assert {"evaluation-test.json", "codes-test-20-images.npz", "gradients.json"} <= {
        p.name for p in run.iterdir()
    }
    rows = json.loads((run / "gradients.json").read_text())["rows"]
    assert [row["estimator"] for row in rows] == ["rloo", "mine.BatchMean"]
    assert {p.name for p in (run / "images").iterdir()} >= {"samples.png", "reconstructions.png"}


@pytest.mark.e2e
def test_own_parts_are_continued_to_the_last_bit(vae, tmp_path):
    vae("fit", "--config", "mine.yaml", *SMALL)
    whole = run_of(tmp_path / "runs").rename(tmp_path / "whole")
    vae("fit", "--config", "mine.yaml", "--trainer.max_epochs", "2", *SMALL[2:])
    run = run_of(tmp_path / "runs")
    again = ("resume", run, "--trainer.max_epochs", "4")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    refused = vae(*again, code=2)
    assert "config.yaml names mine.Wide" in refused.err and refused.err.count("\n") == 1
    assert before == {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    vae(*again, VAE_TRUST="mine")
    assert_same_run(run, whole)


@pytest.mark.e2e
def test_own_parts_are_trained_with_several_seeds_and_many_at_once(vae, tmp_path):
    vae("seeds", "--config", "mine.yaml", "--seeds", "2", "--options", "{trainer.max_epochs: 1}")
    summary = json.loads((tmp_path / "runs" / "mine" / "summary.json").read_text())
    one = summary["variants"]["mine"]["test/elbo"]["values"]
    vae("train-many", "--config", "mine.yaml", "--seeds", "2", "--trainer.max_epochs", "1")
    (many,) = (tmp_path / "runs").glob("*-x2-*/summary.json")
    both = json.loads(many.read_text())["variants"]["all"]["test/elbo"]["values"]
    assert both == pytest.approx(one, abs=1e-3)


@pytest.mark.e2e
def test_what_resume_finds_in_a_folder_runs_nothing(vae, tmp_path):
    """A callback of a module that is there, and of a function that is no class."""
    (tmp_path / "evil.py").write_text("open('evil.ran', 'w').close()")
    vae("fit", "--config", "digits", *SMALL)
    run = run_of(tmp_path / "runs")
    config = (run / "config.yaml").read_text()
    for named in (
        "class_path: evil.Callback",
        "class_path: lightning.pytorch.callbacks.LambdaCallback\n"
        "    init_args: {on_train_start: evil.f}",
        "class_path: os.system",
        "class_path: lightning.pytorch.callbacks.os.system",
    ):
        (run / "config.yaml").write_text(
            config.replace("  callbacks: null", f"  callbacks:\n  - {named}")
        )
        refused = vae("resume", run, "--trainer.max_epochs", "5", code=2)
        assert refused.err.count("\n") == 1 and "config.yaml names" in refused.err
    part = "{class_path: evil.Body}"
    (tmp_path / "sub.yaml").write_text(part)
    (run / "model.yaml").write_text("{class_path: vae.VAEModule, init_args: {encoder: evil.Body}}")
    for old, new, words in (
        ("    network: mlp", "    network: mlp\n    prior: sub.yaml", "names the file sub.yaml"),
        (
            "    network: mlp",
            f"    network: mlp\n    prior: '{part}'",
            "would run the module evil",
        ),
        ("name: ", "config: sub.yaml\nname: ", "names the file sub.yaml"),
        ("model:\n", "model: model.yaml\nnothing:\n", "names the file model.yaml"),
    ):
        text = config.replace("    prior: null\n", "").replace(old, new, 1)
        assert text != config
        (run / "config.yaml").write_text(text)
        refused = vae("resume", run, "--trainer.max_epochs", "5", code=2)
        assert refused.err.count("\n") == 1 and words in refused.err, refused.err
    assert not (tmp_path / "evil.ran").exists()


@pytest.mark.e2e
def test_a_checkpoint_to_continue_from_is_judged_before_lightning_reads_it(vae, tmp_path):
    """LightningCLI would import what hyper_parameters name, and take its options from there."""
    (tmp_path / "evil.py").write_text("open('evil.ran', 'w').close()")
    path = OLD / "gaussian" / "checkpoints" / "last.ckpt"
    contents = torch.load(path, weights_only=True)
    options = contents["hyper_parameters"]
    for change in (
        {"hyper_parameters": options | {"_class_path": "evil.VAE", "_instantiator": "evil.f"}},
        {"vae": contents["vae"] | {"module": None, "model": {"class_path": "evil.VAE"}}},
        {"hyper_parameters": options | {"likelihood": "{class_path: evil.Pixels}"}},
    ):
        torch.save(contents | change, tmp_path / "x.ckpt")
        flags = ["--model.hidden", "[8]", "--model.latent_dim", "3", "--model.lr", "0.001"]
        words = ["fit", "--config", "digits", "--ckpt_path", "x.ckpt", *flags]
        done = vae(*words, "--data.batch_size", "128", "--model.test_samples", "2", code=None)
        assert done.err.count("\n") <= 1 and "Traceback" not in done.err
    assert not (tmp_path / "evil.ran").exists()


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["gaussian", "discrete"])
def test_runs_of_an_older_version_are_read_and_continued(name, vae, tmp_path):
    """Trained before the files moved: their configurations and checkpoints name old places."""
    run = tmp_path / "runs" / name
    shutil.copytree(OLD / name, run)
    assert "vae.module." in (run / "config.yaml").read_text()
    vae("evaluate", run)
    vae("sample", run, "--count", "4")
    done = vae("resume", run, "--trainer.max_epochs", "2")
    assert "continuing" in done.out and (run / "results.json").exists()
    assert "vae.data." not in (run / "config.yaml").read_text()
