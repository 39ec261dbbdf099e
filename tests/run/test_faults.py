"""Faults from outside, on real runs: the disk full in mid-save, W&B's process killed, a data file
cut short. What was trained is never lost."""

import json
import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
from chaos import ROOT, RUNS, assert_same_run, finish, kill, pages, rows, run_of, start

pytestmark = pytest.mark.e2e
MNIST = ROOT.parent / "shared" / "data" / "MNIST"


def in_training(child, folder):
    """Waits until the run has logged a row."""
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in folder.glob("*/metrics.jsonl")):
        assert child.is_alive() and time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.002)


def test_a_full_disk_ends_the_run_in_one_line_and_it_goes_on_later(trained_run, tmp_path):
    child = start("train.py", ["fit", *RUNS["gaussian"]], tmp_path)
    in_training(child, tmp_path)
    size = (run_of(tmp_path) / "checkpoints" / "last.ckpt").stat().st_size
    limit = size // 2  # no file can grow beyond it: the rows can go on, a checkpoint cannot
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (limit, limit))
    finish(child, tmp_path, 2)
    errors = [line for line in (tmp_path / "log").read_text().splitlines() if "error" in line]
    assert len(errors) == 1 and errors[0].startswith("error: cannot write "), errors
    assert "the checkpoint before it is whole" in errors[0]
    assert errors[0].endswith(f"vae resume {run_of(tmp_path)}")
    assert not list(tmp_path.rglob("*.tmp"))
    finish(start("resume.py", [str(run_of(tmp_path))], tmp_path), tmp_path)
    assert_same_run(run_of(tmp_path), trained_run("gaussian"))


def core_of(pid):
    """The W&B process that a process has started."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = path.read_text().split("(", 1)[1].rsplit(")", 1)
            if int(rest.split()[1]) == pid and "wandb-core" in name:
                return int(path.parent.name)
        except (OSError, IndexError):  # it has ended
            continue
    return None


@pytest.mark.parametrize("then_killed", [False, True])
def test_the_run_goes_on_without_wandb(then_killed, trained_run, tmp_path):
    child = start("train.py", ["fit", *RUNS["gaussian"]], tmp_path, "offline")
    in_training(child, tmp_path)
    core = core_of(child.pid)
    assert core is not None
    os.kill(core, signal.SIGKILL)
    if then_killed and kill(child, tmp_path, random.Random(0), "writing", signal.SIGKILL):
        finish(start("resume.py", [str(run_of(tmp_path))], tmp_path, "offline"), tmp_path)
        found = [row["row"] for row in pages(run_of(tmp_path))]  # what was lost was sent again
        assert found == list(range(len(rows(run_of(tmp_path)))))
    else:
        finish(child, tmp_path)
        log = (tmp_path / "log").read_text()
        assert log.count("W&B is lost") == 1 and "Traceback" not in log, log
        assert json.loads((run_of(tmp_path) / "results.json").read_text())
    assert_same_run(run_of(tmp_path), trained_run("gaussian"))


TERMINATED = """
import os, signal, sys
from pathlib import Path
from test_faults import core_of
from vae.run.wandb import wandb_logger
from vae.run.wandb_mode import finish_wandb
wandb_logger(Path(sys.argv[1]), {})
core = core_of(os.getpid())
os.kill(core, signal.SIGTERM)
os.waitid(os.P_PID, core, os.WEXITED | os.WNOWAIT)
finish_wandb(1)
"""


def test_wandb_that_got_the_same_sigterm_is_told_in_one_line(script, tmp_path):
    """As of a whole process group: by Slurm, systemd, docker."""
    (file := tmp_path / "terminated.py").write_text(TERMINATED)
    done = script(file, tmp_path / "run", WANDB_MODE="offline")
    assert done.err.count("\n") == 1, done.err  # and no traceback at exit
    (line,) = done.err.splitlines()
    assert line.startswith("warning: W&B did not end well")


@pytest.mark.skipif(not MNIST.exists(), reason="needs MNIST in ../shared/data")
def test_a_data_file_cut_short_between_epochs(tmp_path, monkeypatch):
    data, runs = tmp_path / "data", tmp_path / "runs"
    shutil.copytree(MNIST, data / "MNIST")
    monkeypatch.setenv("VAE_DATA_DIR", str(data))
    flags = ["--model", "GaussianVAE", "--model.hidden", "[16]", "--data", "MNISTDataModule"]
    flags += ["--model.test_samples", "2", "--data.batch_size", "1000", "--image_every", "0"]
    child = start("train.py", ["fit", *flags, "--trainer.max_epochs", "3"], runs)
    in_training(child, runs)
    (images,) = data.rglob("train-images-idx3-ubyte*")
    os.truncate(images, images.stat().st_size // 2)
    finish(child, runs)  # it has them in memory
    assert json.loads((run_of(runs) / "results.json").read_text())["metrics"]["test/elbo"] < 0
    before = {path: path.stat().st_mtime_ns for path in run_of(runs).rglob("*")}
    finish(start("resume.py", [str(run_of(runs)), "--trainer.max_epochs", "4"], runs), runs, 2)
    last = (runs / "log").read_text().splitlines()[-1]
    assert last.startswith("error: ") and f"{images.name} is not MNIST's file" in last
    assert {path: path.stat().st_mtime_ns for path in run_of(runs).rglob("*")} == before
