"""Averaged weights: what a run's test, its checkpoint and a script that reads it are of."""

import json
import sys

import pytest
from chaos import DIGITS, run_of
from lightning.pytorch import Trainer

from vae.cli.app import VAECLI
from vae.data.load import load_data
from vae.run.checkpoint import load
from vae.run.restore import load_module

pytest.importorskip("lightning.pytorch.callbacks.weight_averaging")
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
    _, contents, path = load(run)
    module = load_module(run)
    assert path.name == ("best.ckpt" if validations else "last.ckpt")
    found = []
    for state in (contents["state_dict"], contents["current_model_state"]):
        module.load_state_dict(state)
        trainer = Trainer(accelerator="cpu", **QUIET)
        found.append(trainer.test(module, load_data(contents), verbose=False)[0]["test/elbo"])
    assert results["test/elbo"] == pytest.approx(found[0], abs=1e-3)
    assert abs(found[1] - found[0]) > 0.1
