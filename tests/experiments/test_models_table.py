"""The configurations of the table of models: at equal budget, and each makes a model."""

import re

import models
import pytest
import yaml

CONFIGS = sorted(models.CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_says_what_it_is_and_has_the_budget_of_all(path):
    text = path.read_text()
    first, options = text.partition("\n")[0], yaml.safe_load(text)
    assert re.fullmatch(r"# [^;]+; [^;]+; [^;]+", first), "latents; prior; objective"
    assert options["name"] == path.stem
    assert options["trainer"] == {"max_epochs": 20} and options["model"]["class_path"]
    assert options["data"]["init_args"]["batch_size"] == 100


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_trains(path, script, tmp_path):
    small = ["--data", "DigitsDataModule", "--trainer.max_epochs", 1, "--name", path.stem]
    words = ["train.py", "fit", "--config", path, *small, "--image_every", 0]
    done = script(*words, VAE_RUNS_DIR=str(tmp_path), WANDB_MODE="disabled")
    assert done.code == 0, done.err
    assert "test/elbo" in done.out


def test_an_unknown_configuration_is_refused():
    with pytest.raises(ValueError, match="no configuration gauss: choose from .*gaussian"):
        models.models(["gauss"])
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        models.models(["gaussian"], jobs=0)
