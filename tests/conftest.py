"""What every test gets (a seed, no W&B, a folder of its own for runs), and what several files share.

Tests are cheap unless they must not be; an interpreter of its own costs five seconds:

- ``script("-m", "vae", "fit", ...)`` runs a verb, ``script("bench.py", ...)`` a script of
  ``experiments``, in a forked process that starts in a tenth of a second.
- ``trained_run("gaussian")`` is a run that is trained once for all tests, those of other pytest
  workers too. It is read, not written to: ``shutil.copytree`` what a test changes.
- ``bad_input.run("train.py fit ...", folder)`` is for mistakes: in this process.
- ``small.py`` has models that train in a second, without the command line.
- ``chaos.py`` kills runs, and compares two to the last bit.

A statistical assertion scales by the standard error. ``FALSE_ALARM_RATE`` is how often each one
fails though the code is right, were its seed redrawn; the seed is fixed, so one that passed goes
on passing.
"""

from __future__ import annotations

import fcntl
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import chaos
import forked
import pytest
import torch
from torch import Tensor

FALSE_ALARM_RATE = 1e-6

os.environ["VAE_REPORT"] = "false"  # seconds a run: tests/cli/test_report_verb.py has them written

if "PYTEST_XDIST_WORKER" in os.environ:  # one process a core: one thread each, in its children too
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def isolate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fixed seed; no W&B; runs go to the test's own folder."""
    torch.manual_seed(0)
    os.environ.pop("WANDB_SERVICE", None)  # of a W&B process that a test before has ended
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for name in (
        "VAE_DEBUG",
        "VAE_TRUST",
    ):  # a flag sets them for the process, and here for a test
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("VAE_RUNS_DIR", str(tmp_path))


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder that holds the real MNIST, as ``MNIST/raw``."""
    project = Path(__file__).resolve().parent.parent
    named = os.environ.get("VAE_DATA_DIR")
    places = [Path(named).expanduser()] if named else []
    places += [project.parent / "shared" / "data", project / "data"]
    for place in places:
        raw = place / "MNIST" / "raw"
        if all(any(raw.glob(f"{name}-images-idx3-ubyte*")) for name in ("train", "t10k")):
            return place
    pytest.skip("no MNIST/raw in VAE_DATA_DIR or the data folder")


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., forked.Done]:
    """``script("train.py", "fit", ..., VAE_RUNS_DIR="x")``: runs a script of ``experiments``, or
    ``script("-m", "vae", "fit", ...)``, in a forked process, in the project's folder, with variables
    beside those of this test; its exit code, what it printed on standard output, and on standard
    error. There is no MNIST, unless ``VAE_DATA_DIR`` is given."""

    def run(*words: object, **options: object) -> forked.Done:
        return forked.run(*words, output=tmp_path_factory.mktemp("script"), **options)

    return run


@pytest.fixture
def forked_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts that the code under test starts by ``subprocess.Popen`` are forked instead."""
    monkeypatch.setattr(subprocess, "Popen", forked.Popen)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``once(name, make)``: a folder that ``make(folder)`` has filled, once for all workers."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def filled(name: str, make: Callable[[Path], object]) -> Path:
        folder, whole = base / f"once-{name}", base / f"once-{name}.whole"
        with (base / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                make(folder)
                whole.touch()
        return folder

    return filled


@pytest.fixture(scope="session")
def trained_run(once: Callable[..., Path]) -> Callable[[str], Path]:
    """``trained_run(name)``: the folder of a finished run on the digits, one of ``chaos.RUNS``."""

    def run(name: str) -> Path:
        def train(folder: Path) -> None:
            chaos.finish(chaos.start("train.py", ["fit", *chaos.RUNS[name]], folder), folder)

        return chaos.run_of(once(f"run-{name}", train))

    return run


@pytest.fixture
def assert_mean() -> Callable[..., None]:
    """``assert_mean(samples, expected)``: the mean of samples (n, *shape) is the expected one, by
    a two-sided z-test of each coordinate (Bonferroni). A coordinate without variance must be
    exact to 5e-9."""

    def check(samples: Tensor, expected: Tensor | float) -> None:
        samples = samples.detach().double().flatten(1) if samples.dim() > 1 else samples[:, None]
        expected = torch.as_tensor(expected, dtype=samples.dtype).detach().flatten()
        error = (samples.mean(0) - expected).abs()
        standard_error = samples.std(0) / math.sqrt(len(samples))
        tail = torch.tensor(FALSE_ALARM_RATE / (2 * samples.shape[1]), dtype=samples.dtype)
        z = error / standard_error.clamp_min(1e-9)
        limit = -torch.special.ndtri(tail)
        assert z.max() < limit, f"|z| up to {z.max():.1f}, limit {limit:.1f}"

    return check


@pytest.fixture
def assert_frequencies() -> Callable[..., None]:
    """``assert_frequencies(index, probs)``: cells (n,), drawn with these probabilities (C,), by a
    chi-square test. Cells of probability 0 must stay empty."""

    def check(index: Tensor, probs: Tensor) -> None:
        count = torch.bincount(index, minlength=len(probs)).double()
        assert len(count) == len(probs)
        expected, possible = len(index) * probs.detach().double(), probs > 0
        assert not count[~possible].any()
        count, expected = count[possible], expected[possible]
        assert expected.min() > 5, "too few draws for the approximation"
        statistic = ((count - expected).square() / expected).sum()
        freedom = torch.tensor((len(count) - 1) / 2, dtype=statistic.dtype)
        p_value = torch.special.gammaincc(freedom, statistic / 2)
        assert p_value > FALSE_ALARM_RATE, f"p = {p_value:.1g}"

    return check


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A minute's test begins first, so that no process waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_pretend_device.py")
