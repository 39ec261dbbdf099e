"""Averaged weights: what a run's test, its checkpoint and a script that reads it are of."""

import json
import sys

import pytest
import torch
from chaos import DIGITS, run_of
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, StochasticWeightAveraging

from vae.cli.app import VAECLI
from vae.data.description import load_data
from vae.data.digits import DigitsDataModule
from vae.run.checkpoint import load
from vae.training.averaging import average_every_step
from vae.training.presets import GaussianVAE

callbacks = pytest.importorskip("lightning.pytorch.callbacks.weight_averaging")
QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}


@pytest.mark.parametrize("validations", [0, 1])
def test_a_run_is_tested_with_what_its_checkpoint_holds(validations, tmp_path, monkeypatch):
    """Lightning itself would put the trained weights in place of the averaged ones."""
    average = ["--trainer.callbacks", "EMAWeightAveraging", "--trainer.callbacks.decay", "0.98"]
    limits = ["--trainer.max_epochs", "2", "--trainer.limit_val_batches", str(validations)]
    words = ["train.py", "fit", *DIGITS, "--model.test_samples", "2", *average, *limits]
    monkeypatch.setattr(sys, "argv", words)
    VAECLI()
    run = run_of(tmp_path)
    results = json.loads((run / "results.json").read_text())["metrics"]
    module, contents, path = load(run)
    assert path.name == ("best.ckpt" if validations else "last.ckpt")
    found = []
    for state in (contents["state_dict"], contents["current_model_state"]):
        module.load_state_dict(state)
        trainer = Trainer(accelerator="cpu", **QUIET)
        found.append(trainer.test(module, load_data(contents), verbose=False)[0]["test/elbo"])
    assert results["test/elbo"] == pytest.approx(found[0], abs=1e-3)
    assert abs(found[1] - found[0]) > 0.1


def test_averages_are_of_every_step(tmp_path):
    """Of 6 steps in groups of 3."""
    module = GaussianVAE(latent_dim=2, image_shape=(1, 8, 8), hidden=[4])
    average = callbacks.EMAWeightAveraging(decay=0.5)
    trainer = Trainer(accelerator="cpu", callbacks=[average], max_steps=6, **QUIET)
    average_every_step(trainer, module)
    expected = [parameter.detach().clone() for parameter in module.parameters()]

    def follow(step, x):
        for mean, parameter in zip(expected, module.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 0.5 if step > 1 else 1.0)

    module.after_step.append(follow)
    trainer.fit(module, DigitsDataModule(steps_per_batch=3))
    for mean, parameter in zip(expected, module.parameters(), strict=True):
        torch.testing.assert_close(parameter, mean)  # copied there at the end


def test_what_cannot_be_averaged_says_so():
    module = GaussianVAE(latent_dim=2, image_shape=(1, 8, 8), hidden=[4])
    average_every_step(Trainer(callbacks=[EarlyStopping("val/elbo")], **QUIET), module)
    assert not module.after_step
    trainer = Trainer(callbacks=[StochasticWeightAveraging(1e-3)], **QUIET)
    with pytest.raises(ValueError, match="use lightning.pytorch.callbacks' EMAWeightAveraging"):
        average_every_step(trainer, module)
