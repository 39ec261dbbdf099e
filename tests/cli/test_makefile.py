"""What make hands on to the scripts, and what it refuses."""

import os
import shlex
import subprocess

import pytest
from chaos import ROOT


def make(target, **variables):
    words = [f"{name}={value}" for name, value in variables.items()]
    command = ["make", "-n", "-o", ".venv/.installed", target, *words]
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}  # of a `make test` that this is part of
    outer |= {"ARGS", "CKPT", "CONFIG", "KEEP", "RUN", "RUNS", "SEED", "SEEDS", "SWEEP"}
    environment = {k: v for k, v in os.environ.items() if k not in outer}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


def test_make_hands_on_what_it_is_given_after_the_configuration():
    def flags(target, **variables):
        return shlex.split(make(target, **variables).stdout.strip().partition(".py ")[2])

    given = flags("fit", CONFIG="a b.yaml", SEED=5, ARGS="--seed_everything 6")
    assert given == ["fit", "--config", "a b.yaml"] + ["--seed_everything", "5"] + [
        "--seed_everything",
        "6",
    ]
    for target in ("fit", "train", "train-gaussian", "train-discrete", "train-reinforce"):
        assert "--seed_everything" not in flags(target)  # a configuration's own counts
        assert flags(target, SEED=5)[-2:] == ["--seed_everything", "5"]
    assert flags("train-many", SEED=5)[-2:] == ["--seed_everything", "5"]
    assert flags("seeds", SEED=5)[-2:] == ["--first_seed", "5"]
    pictures = ("explore", "interpolate", "traverse", "latent-map", "kl", "rate-distortion")
    for target in ("evaluate", "encode", "reconstruct", "sample", "gradients", *pictures):
        assert flags(target, SEED=5, CKPT="x")[-3:] == ["x", "--seed", "5"]
        assert flags(target) == []
    assert flags("code-usage", CKPT="x") == ["x"]
    refused = make("code-usage", CKPT="x", SEED=5)  # nothing in it is drawn by chance
    assert refused.returncode == 2 and "SEED= is not for code-usage" in refused.stderr
    assert flags("curves", RUNS="a b", ARGS="--x epochs") == ["a", "b", "--x", "epochs"]
    assert flags("curves") == []
    refused = make("curves", CKPT="x")
    assert refused.returncode == 2 and "CKPT= is not for curves" in refused.stderr
    refused = make("train", CONFIG="x")
    assert refused.returncode == 2 and "CONFIG= is not for train, but for fit" in refused.stderr
    refused = make("clean-runs", KEEP=1, ARGS="--debug")
    assert refused.returncode == 2 and "ARGS= is not for clean-runs" in refused.stderr


@pytest.mark.parametrize(
    "variables, says",
    [
        ({"CKTP": "x"}, "there is no variable CKTP=, but CKPT= RUN="),
        ({"CKPT": ""}, "CKPT= is empty: give it a value, or leave it out"),
        ({"CKPT": " "}, "CKPT= is empty"),
    ],
)
def test_make_refuses_a_slip_in_a_variable(variables, says):
    refused = make("evaluate", **variables)
    assert refused.returncode == 2 and says in refused.stderr


@pytest.mark.parametrize("name", ["VAE_DATA_DIR", "WANDB_MODE", "CUDA_VISIBLE_DEVICES", "COLUMNS"])
def test_make_takes_the_environments_variables(name):
    assert "evaluate.py" in make("evaluate", **{name: "x"}).stdout


@pytest.mark.parametrize(
    "target, name", [("evaluate", "CKPT"), ("resume", "RUN"), ("fit", "CONFIG")]
)
def test_make_hands_on_whatever_signs_a_name_has(target, name):
    odd = """it's "a" $HOME $x `b` * \\ c"""
    assert odd in shlex.split(make(target, **{name: odd}).stdout)
