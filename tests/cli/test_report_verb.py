"""The report at a run's end: written and named last, and no reason for a run to fail."""

import json
import re
import signal
import sys

import pytest
from chaos import DIGITS, run_of
from forked import ROOT
from lightning.pytorch.loggers import WandbLogger

from vae.cli import closing_report, seeds, session
from vae.cli.app import VAECLI
from vae.cli.closing_report import ClosingReport, wanted
from vae.run import wandb_page
from vae.run.here import vae_here
from vae.run.signals import Interrupted

MODELS = ROOT / "vae" / "configs" / "models"

SHORT = ["--trainer.max_steps", "2", "--image_every", "0", "--model.test_samples", "0"]


@pytest.fixture
def fit(monkeypatch, tmp_path, capsys):
    """``fit(*words)``: a short run whose report is asked for; its folder, and what it said."""

    def one(*words):
        monkeypatch.setenv("VAE_REPORT", "")
        monkeypatch.setattr(sys, "argv", ["vae", "fit", *DIGITS, *SHORT, *words])
        VAECLI()
        said = capsys.readouterr()
        return (None if "--trainer.fast_dev_run" in words else run_of(tmp_path)), said

    return one


class Page(WandbLogger):
    """A page in W&B that only remembers."""

    def __init__(self):
        self.seen = {}

    def log_image(self, key, images, **kwargs):
        self.seen[key] = [image.size for image in images]


@pytest.mark.e2e
def test_a_run_ends_with_its_report_and_says_where_it_is(fit, monkeypatch):
    page, draw = Page(), ClosingReport.draw

    def on_a_page(self, model, data, checkpoint, loggers):
        draw(self, model, data, checkpoint, [*loggers, page])

    monkeypatch.setattr(ClosingReport, "draw", on_a_page)
    run, said = fit("--trainer.log_every_n_steps", "1")
    assert said.out.splitlines()[-1] == f"report      {run / 'report.html'}" and not said.err
    text = (run / "report.html").read_text()
    results = json.loads((run / "results.json").read_text())
    elbo, se = (results[part]["test/elbo"] for part in ("metrics", "standard_errors"))
    assert f'data-value="{elbo!r}">{elbo:.2f} ± {se:.2f}<' in text and "Not shown" not in text
    assert "250 test images" in text and "over images (results.json)" in text
    assert text.count("<img") == 2 and text.count("<svg") == 4
    assert set(page.seen) == {
        f"pictures/{name}" for name in ("reconstructions", "samples", "traverse", "kl", "curves")
    }
    assert all(min(size) > 50 for (size,) in page.seen.values())
    assert not (run / "wandb").exists()  # that page is another's


def test_a_picture_that_wandb_did_not_get_is_sent_again(tmp_path, monkeypatch, capsys):
    logged = []

    def log(run, add):
        logged.append(run)
        return len(logged) > 1

    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr("wandb.init", broken)
    wandb_page.log_images(tmp_path, {"a": b"1"})
    said = capsys.readouterr().err
    assert said == "warning: it is not on the run's page in W&B (two lines)\n"
    monkeypatch.setattr(wandb_page, "_log", log)
    for png in (b"1", b"1", b"1", b"2"):
        wandb_page.log_images(tmp_path, {"a": png})
    assert len(logged) == 3  # lost; sent; the same; another


def broken(*args, **kwargs):
    raise ValueError("two\nlines")


@pytest.mark.e2e
def test_a_report_that_fails_is_one_line(fit, monkeypatch):
    monkeypatch.setattr("vae.pages.report.pictures.drawn", broken)
    run, said = fit()
    assert said.err == (
        f"no report was written (two lines); to try again: {vae_here()} report {run}\n"
    )
    assert (run / "results.json").is_file() and not (run / "report.html").exists()
    assert said.out.splitlines()[-1] == f"run folder  {run}"


@pytest.mark.e2e
def test_ctrl_c_in_a_report_leaves_a_complete_run(fit, monkeypatch, tmp_path, capsys):
    def interrupted(*args):
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("vae.pages.report.single.single", interrupted)
    with pytest.raises(Interrupted):
        fit()
    run = run_of(tmp_path)
    assert (run / "results.json").is_file()
    last = capsys.readouterr().out.splitlines()[-1]
    assert (
        last == f"interrupted; the run is complete, but for its report: {vae_here()} report {run}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(MODELS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_family_has_a_report(path, fit):
    """What a family cannot have is left out with its reason, and with no other."""
    words = ["--config", str(path), "--data", "DigitsDataModule", "--data.batch_size", "16"]
    if "vamp" in path.stem:
        words += ["--model.prior.num_components", "4"]
    run, said = fit(*words)
    text = (run / "report.html").read_text()
    assert "Not shown" not in text and not said.err
    reasons = re.findall(r": not drawn, ([^<]*)\.<", text)
    known = "have no categories|their KL is no sum|the number of ones is fixed|have no order"
    assert [reason for reason in reasons if not re.search(known, reason)] == []
    assert text.count("<img") >= 2  # reconstructions and samples are there


@pytest.mark.e2e
def test_a_report_is_left_out(fit, monkeypatch):
    def unwanted(*args):
        raise AssertionError("it was not to be drawn")

    monkeypatch.setattr(session, "ClosingReport", unwanted)
    run, _ = fit("--report", "false")
    assert (
        not (run / "report.html").exists() and "report: false" in (run / "config.yaml").read_text()
    )
    monkeypatch.undo()


@pytest.mark.e2e
def test_a_rehearsal_has_none(fit, tmp_path):
    _, said = fit("--trainer.fast_dev_run", "true")
    assert "report" not in said.out + said.err and not list(tmp_path.glob("*/report.html"))


def test_a_variable_leaves_it_out(monkeypatch):
    for value, expected in (("", True), ("false", False), ("0", False), ("true", True)):
        monkeypatch.setenv("VAE_REPORT", value)
        assert wanted(True) == expected and not wanted(False)


def test_a_study_has_one_report_and_its_runs_have_none(monkeypatch, tmp_path):
    written, started = [], []
    monkeypatch.setenv("VAE_REPORT", "")
    monkeypatch.setattr(
        seeds, "work", lambda task, folder, path, flags, jobs: started.append(flags)
    )
    monkeypatch.setattr(seeds, "_failed", lambda *args: [])
    monkeypatch.setattr(seeds, "summarize", lambda *args: {})
    monkeypatch.setattr(seeds, "report_of_several", written.append)
    seeds.study("digits", seeds=1)
    assert written == [tmp_path / "digits"]
    (flags,) = started
    assert flags[flags.index("--report") + 1] == "False"
    seeds.study("digits", seeds=1, report=False)
    assert len(written) == 1
    seeds.study("digits", seeds=1, name="another", options={"report": True})
    assert started[-1][started[-1].index("--report") + 1] == "True"


def test_several_that_fail_are_one_line(tmp_path, capsys):
    closing_report.report_of_several(tmp_path)
    said = capsys.readouterr().err
    assert said.startswith("no report was written (") and said.count("\n") == 1
    assert said.endswith(f"vae report {tmp_path}\n")
