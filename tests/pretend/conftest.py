"""The pretend device, for the whole process: it cannot be taken back."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pretend_device
import pytest
import torch
from lightning.pytorch.accelerators import Accelerator, AcceleratorRegistry
from lightning.pytorch.strategies import SingleDeviceStrategy, StrategyRegistry

from vae.cli.app import VAECLI

for folder in ("tests", "tests/training", "experiments"):
    sys.path.append(str(Path(__file__).resolve().parents[2] / folder))
pretend_device.install()
DEVICE = torch.device(pretend_device.NAME, 0)


class PretendAccelerator(Accelerator):
    """``--trainer.accelerator pretend``."""

    def setup_device(self, device):
        assert device == DEVICE

    def teardown(self): ...

    def get_device_stats(self, device):
        return {}

    @staticmethod
    def parse_devices(devices):
        return int(devices)

    @staticmethod
    def get_parallel_devices(devices):
        return [DEVICE] * devices

    @staticmethod
    def auto_device_count():
        return 1

    @staticmethod
    def is_available():
        return True

    @staticmethod
    def name():
        return pretend_device.NAME


def pytest_configure(config):
    AcceleratorRegistry.register("pretend", PretendAccelerator)
    StrategyRegistry.register("pretend", SingleDeviceStrategy, device=DEVICE)


COMMON = [
    *("--data", "DigitsDataModule", "--name", "t", "--model.hidden", "[8]", "--image_every", "1"),
    *("--data.eval_batch_size", "250", "--data.steps_per_batch", "4"),
    *("--model.test_samples", "2", "--model.gradient_clip_norm", "5.0"),
    *("--trainer.log_every_n_steps", "10"),
]
THERE = ["--trainer.accelerator", "pretend", "--trainer.strategy", "pretend"]
HERE = ["--trainer.accelerator", "cpu", "--trainer.strategy", "auto"]
MODELS = {
    "gumbel": [
        *("--model", "DiscreteVAE", "--model.num_variables", "2", "--model.num_categories", "3"),
        *("--model.anneal_rate", "0.01", "--model.anneal_every", "3"),
        *(
            "--model.beta_warmup",
            "20",
            "--trainer.callbacks",
            "vae.ShadowEstimators",
        ),
        *("--trainer.callbacks.estimators", "[rebar, reinforce]"),
        *("--trainer.callbacks.every_n_steps", "15", "--trainer.callbacks.replicates", "4"),
        *("--trainer.callbacks.images", "2", "--trainer.callbacks.warm_up_steps", "1"),
    ],
    "nvil": [*("--model", "GaussianVAE", "--model.latent_dim", "2", "--model.estimator", "nvil")],
}
CUT, STEPS = 17, 31  # inside the first epoch, and the second


@pytest.fixture(scope="session")
def train(tmp_path_factory):
    """``train(model, *flags)``: a run of the command line, once for all tests; its folder, and
    what waited for the device."""

    @cache
    def trained(model, *flags):
        before = len(pretend_device.LOG)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VAE_RUNS_DIR", str(tmp_path_factory.mktemp("runs")))
            patch.setenv("WANDB_MODE", "disabled")
            patch.setattr("sys.argv", ["train.py", "fit", *COMMON, *MODELS[model], *flags])
            run = VAECLI().run
        return run, pretend_device.LOG[before:]

    return trained


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing is logged yet, and float64 is there; no flags are given to the process."""
    monkeypatch.setattr("sys.argv", ["train.py"])
    pretend_device.LOG.clear()
    pretend_device.FLAGS.float64 = True
    yield
    pretend_device.FLAGS.float64 = True
