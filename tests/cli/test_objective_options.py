"""Objectives from the command line: what is said of them, and what is refused."""

import json

import pytest
from chaos import run_of

FIT = ["--config", "digits", "--model", "VAEModule", "--trainer.max_steps", "3"]
FIT += ["--model.test_samples", "0", "--model.objective"]


@pytest.fixture
def fit(script, tmp_path):
    """``fit(words)``: what it said, or what it said in refusing."""

    def said(words, code=0):
        done = script(
            "-m", "vae", "fit", *FIT, *words.split(), folder=tmp_path, VAE_RUNS_DIR="runs"
        )
        assert done.code == code and "Traceback" not in done.err, done.out + done.err
        return done.err if code else done.out

    return said


@pytest.mark.e2e
def test_a_run_says_what_its_objective_bounds(fit, tmp_path):
    said = fit("vae.Renyi --model.objective.alpha -1 --model.objective.num_samples 3")
    assert "train/bound, by Renyi, is no guaranteed bound of log p(x)" in said
    found = json.loads((run_of(tmp_path / "runs") / "results.json").read_text())
    assert found["objective"].startswith("Renyi: no guaranteed bound")


@pytest.mark.parametrize(
    "words, said",
    [
        ("vae.Renyi --model.objective.alpha x", "alpha: expected float, got x"),
        ("vae.CUBO", "CUBO trains q only"),
        (
            "vae.FreeBits --model.objective.floor 1",
            "no option floor: --model.objective.help CLASS lists those that it has",
        ),
        (
            'vae.ELBO --model.prior {"class_path":"vae.Vamp"}',
            "no attribute 'Vamp', got vae.Vamp\n",
        ),
        ("vae.Separate --model.objective.for_q vae.CUBO", "required: for_model"),
        ("vae.MIWAE --model.objective.groups 3", "groups must divide num_samples"),
        ("vae.TVO --model.objective.riemann middle", "expected one of 'left', 'right'"),
        ("vae.BetaTC --model.objective.num_images 10", "num_images of BetaTC is 10, and 1"),
        (
            "vae.Capacity --model.schedules.beta vae.Cyclical --model.schedules.beta.steps 9",
            "the model has no buffer 'beta' to fill; it has capacity, gamma",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(fit, tmp_path, words, said):
    error = fit(words, code=2)
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
