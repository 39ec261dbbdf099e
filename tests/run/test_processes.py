"""Several processes: the gradients and the data are those of one process with a batch as large as
all of theirs; one of them writes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from chaos import ROOT, assert_same_run, rows, run_of
from forked import together
from lightning.pytorch.strategies import SingleDeviceStrategy

from vae.cli.app import VAECLI
from vae.cli.replay import replay
from vae.data.digits import DigitsDataModule
from vae.data.loader import ImageLoader
from vae.models.checkpoint import read_checkpoint

FLAGS = [
    *("--data", "DigitsDataModule", "--data.binarization", "static", "--name", "t"),
    *("--model", "DiscreteVAE", "--model.num_variables", "2", "--model.num_categories", "3"),
    *("--model.hidden", "[16]", "--model.test_samples", "2", "--image_every", "0"),
    *("--trainer.max_steps", "18", "--trainer.log_every_n_steps", "10"),
    *("--checkpoint_every_n_steps", "10", "--trainer.accelerator", "cpu"),
]
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


def train(folder, *words, processes=1):
    """Runs a script; what it printed."""
    folder.mkdir(exist_ok=True)
    options = {"VAE_RUNS_DIR": str(folder), "WANDB_MODE": "offline"}
    children = together(*words, processes=processes, log=folder / "log", **options)
    for child in children:
        child.join(300)
    assert [child.exitcode for child in children] == [0] * processes, (folder / "log").read_text()
    return (folder / "log").read_text()


@pytest.mark.e2e
def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    """By the exact gradient, which has no noise: the only difference is the order of sums."""
    exact = ["train.py", "fit", *FLAGS, "--model.estimator", "enumerate"]
    one, two = tmp_path / "one", tmp_path / "two"
    train(one, *exact, "--data.batch_size", "64")
    out = train(two, *exact, "--data.batch_size", "32", *TWO, processes=2)
    assert out.count("training in") == 1 and out.count("test set") == 1
    run, alone = run_of(two), run_of(one)
    ends = [read_checkpoint(r / "checkpoints" / "last.ckpt") for r in (run, alone)]
    assert ends[0]["global_step"] == ends[1]["global_step"] == 18
    for key, value in ends[0]["state_dict"].items():
        torch.testing.assert_close(value, ends[1]["state_dict"][key], rtol=1e-4, atol=1e-5)
    results = [json.loads((r / "results.json").read_text())["metrics"] for r in (run, alone)]
    for key, value in results[0].items():
        assert value == pytest.approx(results[1][key], rel=0.02)  # shares of 125 of 250 images
    assert [row["step"] for row in rows(run)] == [row["step"] for row in rows(alone)]
    assert len(list(run.glob("wandb/offline-run-*"))) == 1


@pytest.mark.e2e
def test_a_run_of_two_processes_is_resumed_exactly(tmp_path):
    """Each process has its own noise, and gets it back."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    flags = ["train.py", "fit", *FLAGS, *TWO, "--data.batch_size", "64"]
    train(whole, *flags, "--trainer.max_steps", "20", processes=2)
    train(cut, *flags, "--trainer.max_epochs", "1", processes=2)  # of 11 steps
    (run_of(cut) / "results.json").unlink()
    longer = ["--trainer.max_epochs", "50", "--trainer.max_steps", "20"]
    train(cut, "resume.py", run_of(cut), *longer, processes=2)
    ends = [read_checkpoint(run_of(p) / "checkpoints" / "last.ckpt") for p in (whole, cut)]
    states = ends[0]["vae"]["generators"]["cpu"]
    assert states.shape[0] == 2 and not torch.equal(states[0], states[1])
    for key, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][key])
    with pytest.raises(ValueError, match="is of several processes"):
        replay(str(run_of(whole)))


@pytest.mark.e2e
@pytest.mark.parametrize(
    "target",
    ["all", *(pytest.param(t, marks=pytest.mark.slow) for t in ("first", "second"))],
)
def test_a_signal_stops_all_processes_within_a_group_of_steps(target, tmp_path):
    """Whoever gets it: a supervisor sends it to all, a person to one."""
    flags = [*FLAGS, *TWO, "--trainer.max_steps", "100000", "--trainer.log_every_n_steps", "1"]
    environment = {**os.environ, "VAE_RUNS_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vae", "fit", *flags]  # Lightning starts the second alike
    with (tmp_path / "log").open("w") as log:
        first = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while not any(path.stat().st_size for path in tmp_path.glob("*/metrics.jsonl")):
            assert first.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        before = int(run_of(tmp_path).joinpath("metrics.jsonl").read_text().count("\n"))
        _signal(first.pid, target)
        assert first.wait(120) == 143, (tmp_path / "log").read_text()
    finally:
        if first.poll() is None:  # else it would train on when the test has failed
            os.killpg(first.pid, signal.SIGKILL)
    said = (tmp_path / "log").read_text()
    step = read_checkpoint(run_of(tmp_path) / "checkpoints" / "last.ckpt")["global_step"]
    assert f"interrupted at step {step}; " in said and said.count("vae resume ") == 1
    assert "Traceback" not in said and step - before < 60  # a group of 20, and what it took to ask


def _signal(first, target):
    """SIGTERM to the process group of a run of two processes, or to one of them."""
    if target == "all":
        os.killpg(first, signal.SIGTERM)
    else:
        found = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        words = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in found]
        (second,) = (
            int(p) for p, w in zip(found, words, strict=True) if b"--trainer.devices" in w
        )
        os.kill(first if target == "first" else second, signal.SIGTERM)


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_an_epoch(world_size):
    images = torch.arange(100).to(torch.uint8).view(100, 1, 1, 1)
    seen, parts = [], []
    for rank in range(world_size):
        loader = ImageLoader(images, 8, "none", 0, True, lambda: 3, rank, world_size)
        batches = [(x * 255).round().int().flatten() for x in loader]
        assert len(batches) == len(loader)
        parts.append(batches)
        seen.append(torch.cat(batches))
    together = torch.cat(seen)
    assert len(together) == len(together.unique()) == 100 // world_size * world_size
    whole = ImageLoader(images, 8 * world_size, "none", 0, True, lambda: 3)
    for number, x in enumerate(whole):
        if number < len(parts[0]) - 1:
            union = torch.cat([batches[number] for batches in parts])
            assert torch.equal(
                union.sort().values, (x * 255).round().int().flatten().sort().values
            )
    assert DigitsDataModule().image_shape == (1, 8, 8)


def torchrun(folder, script, *words):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    environment = {**os.environ, "VAE_RUNS_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        return subprocess.Popen(
            [*command, "2", str(ROOT / "experiments" / script), *words],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@pytest.mark.slow
def test_torchrun_killed_at_the_first_checkpoint_is_resumed_exactly(tmp_path):
    flags = [*FLAGS, *TWO, "--data.batch_size", "8"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert torchrun(whole, "train.py", "fit", *flags, "--trainer.max_steps", "180").wait(300) == 0
    child = torchrun(cut, "train.py", "fit", *flags, "--trainer.max_steps", "180")
    while not list(cut.glob("*/checkpoints/last.ckpt")):
        assert child.poll() is None
        time.sleep(0.002)
    workers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    for pid in (child.pid, *map(int, workers)):  # in sessions of their own
        os.kill(pid, signal.SIGKILL)
    child.wait()
    assert torchrun(cut, "resume.py", str(run_of(cut))).wait(300) == 0
    assert_same_run(run_of(cut), run_of(whole))


def test_every_process_tests_the_checkpoint_of_the_first(monkeypatch, tmp_path):
    """Whatever run folder it has named itself, as srun's and torchrun's processes do."""
    metrics, epoch = [], ["--trainer.max_steps", "21"]
    for name, lr in (("first", "1e-2"), ("second", "1e-5")):
        monkeypatch.setenv("VAE_RUNS_DIR", str(tmp_path / name))
        monkeypatch.setattr(sys, "argv", ["train.py", "fit", *FLAGS, *epoch, "--model.lr", lr])
        VAECLI()
        results = json.loads((run_of(tmp_path / name) / "results.json").read_text())
        metrics.append(results["metrics"])
        best = str(run_of(tmp_path / name) / "checkpoints" / "best.ckpt")
        monkeypatch.setattr(
            SingleDeviceStrategy,
            "broadcast",
            lambda self, x, src=0, best=best: best if str(x).endswith("best.ckpt") else x,
        )
    assert metrics[0] == metrics[1]


def test_the_number_of_processes_is_what_torchrun_started(monkeypatch, tmp_path):
    """Else each of the two would train by itself, and write what the other writes."""
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setattr(sys, "argv", ["train.py", "fit", *FLAGS])
    with pytest.raises(ValueError, match="torchrun started 2 processes, .*devices 1 .* are 1"):
        VAECLI()
    assert not list(tmp_path.iterdir())
