"""What tests on the pretend device share: Lightning knows it, and runs are trained once."""

from __future__ import annotations

from functools import cache

import pretend_device
import pytest
from lightning.pytorch.accelerators import Accelerator, AcceleratorRegistry
from lightning.pytorch.strategies import SingleDeviceStrategy, StrategyRegistry
from pretend_runs import COMMON, DEVICE, MODELS

from vae.cli.app import VAECLI


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
