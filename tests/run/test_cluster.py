"""Slurm without Slurm: what the job script starts, and how the library takes the processes that
others start. The script itself was tried on a real one (README)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from chaos import ROOT, assert_same_run
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment

from vae.cli import resume
from vae.cli.app import VAECLI
from vae.run.cluster import assert_started, cluster_environment
from vae.training.module import VAEModule

SCRIPT = ROOT / "experiments" / "slurm" / "train.sbatch"
DIGITS = str(ROOT / "experiments" / "configs" / "digits.yaml")
FLAGS = ["--trainer.max_epochs", "3", "--image_every", "0", "--model.test_samples", "2"]

FAKES = {
    "srun": 'for word; do echo "$word"; done > srun.log\necho "$VAE_RUNS_DIR" > dir\nexit $(cat code)',
    "scontrol": 'echo "$@" >> scontrol.log',
}


def slurm(**more):
    """What Slurm sets in a job of one task."""
    ranks = dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "0")
    sizes = dict.fromkeys(("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_NNODES"), "1")
    return {"SLURM_JOB_ID": "123", "SLURM_JOB_NAME": "vae"} | ranks | sizes | more


@pytest.fixture
def submit(tmp_path):
    """Runs the job script with a pretended ``srun``: the words that it would start Python with,
    where runs go, and what ``scontrol`` was told."""
    for name, text in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def run(*words, code=0, **environment):
        (tmp_path / "code").write_text(str(code))
        (tmp_path / "scontrol.log").write_text("")
        runs = {"VAE_RUNS_DIR": str(tmp_path)}
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", str(SCRIPT), *words],
            cwd=tmp_path,
            env=os.environ | slurm(**environment) | {"PATH": path, "PYTHON": "python"} | runs,
        )
        assert done.returncode == code
        _, python, *started = (tmp_path / "srun.log").read_text().splitlines()
        assert python == "python"
        return started, (tmp_path / "dir").read_text().strip(), (tmp_path / "scontrol.log")

    return run


def test_the_script_is_shell_and_its_options_are_slurms():
    subprocess.run(["sh", "-n", str(SCRIPT)], check=True)
    lines = SCRIPT.read_text().splitlines()
    options = {line.split(" --")[1].split("=")[0] for line in lines if line.startswith("#SBATCH")}
    assert {"time", "signal", "requeue", "open-mode", "ntasks-per-node"} <= options


def test_only_a_job_that_was_told_to_stop_is_requeued(submit):
    assert submit("a.yaml", code=143)[2].read_text() == "requeue 123\n"
    for code in (0, 1, 2, 130, 137):
        assert submit("a.yaml", code=code)[2].read_text() == ""
    # The last task of an array has the array's own number: that alone would requeue them all.
    array = {"SLURM_ARRAY_JOB_ID": "123", "SLURM_ARRAY_TASK_ID": "4"}
    words, folder, log = submit("a.yaml", code=143, **array)
    assert log.read_text() == "requeue 123_4\n"
    assert words[words.index("--seed_everything") + 1] == "4" and folder.endswith("/slurm-123")


def test_a_task_finds_its_own_run_again(submit, tmp_path):
    array = {"SLURM_ARRAY_JOB_ID": "123", "SLURM_ARRAY_TASK_ID": "1"}
    folder = tmp_path / "slurm-123"
    for name in ("0101-0000-a-seed0-aa", "0101-0000-a-seed1-bb", "0101-0000-a-seed11-cc"):
        (folder / name / "checkpoints").mkdir(parents=True)
    for name in ("0101-0000-a-seed0-aa", "0101-0000-a-seed11-cc"):
        (folder / name / "checkpoints" / "last.ckpt").touch()
    assert submit("x/a.yaml", **array)[0][0] == "experiments/train.py"  # nothing to go on from
    # killed in mid-save
    (folder / "0101-0000-a-seed1-bb" / "checkpoints" / "last-previous.ckpt").touch()
    words, *_ = submit("x/a.yaml", "--model.lr", "1e-4", **array)
    assert words == ["experiments/resume.py", str(folder / "0101-0000-a-seed1-bb")]


def stop_at(epoch, monkeypatch):
    """SIGTERM in the second group of an epoch's steps."""

    def on_train_batch_start(self, batch, batch_idx):
        if self.current_epoch == epoch and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(VAEModule, "on_train_batch_start", on_train_batch_start)


@pytest.mark.e2e
def test_a_requeued_job_ends_as_if_it_had_never_stopped(submit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_1.ckpt").write_text("another project's, which Lightning would load")
    steps = ["--data.steps_per_batch", "5", "--trainer.log_every_n_steps", "7"]
    words, folder, _ = submit(DIGITS, *FLAGS, *steps)
    for name, value in slurm().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VAE_RUNS_DIR", str(tmp_path / "whole"))
    monkeypatch.setattr(sys, "argv", words)
    VAECLI()
    monkeypatch.setenv("VAE_RUNS_DIR", folder)
    with monkeypatch.context() as patched:
        stop_at(1, patched)
        with pytest.raises(SystemExit) as ended:
            VAECLI()
    assert ended.value.code == 143
    words, *_ = submit(DIGITS, *FLAGS, *steps, SLURM_RESTART_COUNT="1")
    assert words[0] == "experiments/resume.py"
    resume.resume(words[1], words[2:])
    (whole,), (cut,) = (tmp_path / "whole").iterdir(), Path(folder).iterdir()
    assert_same_run(cut, whole)
    assert [path.name for path in tmp_path.glob("hpc*")] == ["hpc_ckpt_1.ckpt"]
    resume.resume(words[1], words[2:])  # requeued once more: nothing to do


def test_a_run_of_one_process_takes_no_rank_from_slurm(monkeypatch):
    for name, value in slurm(SLURM_NTASKS="3", SLURM_PROCID="2").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    (environment,) = cluster_environment([], 1, 1)
    assert type(environment) is LightningEnvironment
    with pytest.raises(ValueError, match="ntasks-per-node"):
        cluster_environment([], 3, 1)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "3")
    (environment,) = cluster_environment([], 3, 1)
    assert isinstance(environment, SLURMEnvironment) and not environment.auto_requeue
    assert environment.world_size() == 3 and environment.global_rank() == 2
    assert cluster_environment([environment], 3, 1) == []  # the user's own
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert cluster_environment([], 3, 1) == []


@pytest.mark.parametrize("by", ["srun", "torchrun"])
def test_another_number_of_processes_than_were_started_is_refused(by, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    trainer = Trainer(accelerator="cpu", devices=2, logger=False, enable_checkpointing=False)
    variables = slurm()
    if by == "torchrun":
        variables = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{by} started 1 process, .*devices 2 .* are 2"):
        assert_started(trainer)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    assert_started(trainer)
