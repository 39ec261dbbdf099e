"""A run is never lost: killed at any moment, it ends as if it had never stopped."""

import json
import random
import signal
import sys
from collections import Counter

import pytest
import torch
from chaos import (
    DIGITS,
    RUNS,
    UNTIMED,
    assert_same_run,
    finish,
    kill,
    pages,
    rows,
    run_of,
    start,
)
from small import MODULES, fit

from vae.cli.app import VAECLI
from vae.models.checkpoint import read_checkpoint
from vae.run.atomic import PREVIOUS, AtomicCheckpointIO
from vae.run.folder import new_run
from vae.run.metrics import JSONLLogger
from vae.run.state import find_last


def killed_and_resumed(name, folder, seed, moment, number, wandb="disabled", group=False):
    """Kills a run, twice if it comes to that, and lets it end; how often it was killed."""
    generator = random.Random(seed)
    kills = 0
    child = start("train.py", ["fit", *RUNS[name]], folder, wandb)
    for _ in range(2):
        if not kill(child, folder, generator, moment, number, kills + 1, group):
            break
        kills += 1
        child = start("resume.py", [str(run_of(folder))], folder, wandb)
    child.join(300)
    if child.exitcode != -number:  # else it was hit on its way out, complete
        finish(child, folder)
    assert (run_of(folder) / "results.json").exists()
    return kills


CASES = {
    "killed": ("gaussian", "training", signal.SIGKILL),
    "killed while writing": ("discrete", "writing", signal.SIGKILL),
    "SIGTERM": ("gumbel", "training", signal.SIGTERM),
    "SIGINT": ("discrete", "training", signal.SIGINT),
    "SIGTERM in the test": ("test", "test", signal.SIGTERM),
}


@pytest.mark.e2e
@pytest.mark.parametrize("case", CASES)
def test_a_killed_run_ends_as_if_it_had_never_stopped(case, trained_run, tmp_path):
    name, moment, number = CASES[case]
    wandb = "offline" if moment == "writing" else "disabled"
    kills = 0
    for seed in range(5):  # a kill may come too late
        kills = killed_and_resumed(name, tmp_path / str(seed), seed, moment, number, wandb)
        if kills:
            break
    assert kills
    run = run_of(tmp_path / str(seed))
    assert_same_run(run, trained_run(name))
    if wandb == "offline":  # W&B has every row once, in order, under one id
        found = pages(run)
        assert [row["row"] for row in found] == list(range(len(rows(run))))
        assert [row["trainer/global_step"] for row in found] == [row["step"] for row in rows(run)]
        files = list(run.glob("wandb/offline-run-*/*.wandb"))
        assert len(files) == kills + 1 and {file.stem for file in files} == {f"run-{run.name}"}
    assert len(json.loads((run / "run.json").read_text())["continued"]) == kills


KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
CHAOS = [
    *(("gaussian", "training", KILL), ("steps", "training", KILL), ("two", "training", TERM)),
    *(("discrete", "writing", KILL), ("test", "test", TERM), ("validation", "training", KILL)),
    *(("gumbel", "training", TERM), ("steps", "writing", KILL), ("two", "training", KILL)),
    *(("validation", "writing", KILL), ("test", "test", KILL), ("steps", "training", INT)),
    *(("validation", "training", TERM), ("gumbel", "writing", KILL), ("two", "training", INT)),
    *(("test", "test", INT), ("discrete", "training", INT), ("gaussian", "writing", KILL)),
]
"""What is killed, when, and by what; every second time all of its processes are."""


def chaos(folder, trained_run, total, first=0):
    """Kills runs until there were so many kills, and says of which kinds; raises if one is lost."""
    counts, trial = Counter(), first
    while counts["in all"] < total:
        name, moment, number = CHAOS[trial % len(CHAOS)]
        where, turn = folder / str(trial), trial // len(CHAOS)
        group = bool((turn + trial) % 2) or (name == "two" and number == KILL)
        wandb = "offline" if turn % 2 and name != "two" else "disabled"
        kills = killed_and_resumed(name, where, trial, moment, number, wandb, group)
        if kills:
            assert_same_run(run_of(where), trained_run(name))
        if kills and wandb == "offline":
            found = [row["row"] for row in pages(run_of(where))]
            assert found == list(range(len(rows(run_of(where)))))
        kinds = ["in all", f"run {name}", f"in {moment}", signal.Signals(number).name]
        counts.update(dict.fromkeys([*kinds, *(["of the process group"] * group)], kills))
        trial += 1
        print(f"{trial}: {dict(counts)}", flush=True)
    return counts


@pytest.mark.slow
@pytest.mark.chaos
def test_two_hundred_kills(trained_run, tmp_path):
    """The whole of it: with limits, validation inside epochs, two processes, and in the test."""
    counts = chaos(tmp_path, trained_run, 200)
    print(f"kills, 0 runs lost: {dict(counts)}")
    assert counts["in writing"] >= 40 and counts["in test"] >= 20 and counts["run two"] >= 20


@pytest.mark.parametrize("name", ["gaussian", "rloo", "gaussian-reinforce"])
def test_steps_grouped_or_not_are_the_same_steps(name):
    ends, records = [], []
    for group in (1, 4, 21):
        torch.manual_seed(0)
        module, run = MODULES[name](), new_run(f"g{group}")
        trainer = fit(module, run, steps=30, steps_per_batch=group)
        assert trainer.global_step == 30  # in the middle of an epoch and of a group
        ends.append(module.state_dict())
        records.append(rows(run))
    assert records[1] == records[0]
    # where a group of 21 is cut short, the trainer takes its epoch for whole, and validates
    records = [[row for row in record if "train/bound" in row] for record in records]
    for end, record in zip(ends[1:], records[1:], strict=True):
        assert all(torch.equal(end[k], ends[0][k]) for k in end)
        assert record == records[0]
    assert [row["step"] for row in records[0]] == [4, 9, 14, 19, 24, 29]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys):
    run = tmp_path / "run"
    trainer = fit(MODULES["gaussian"](), new_run("t"), steps=3, plugins=[AtomicCheckpointIO()])
    last = run / "checkpoints" / "last.ckpt"
    trainer.save_checkpoint(last)
    first = last.read_bytes()
    trainer.save_checkpoint(last)
    assert (last.parent / PREVIOUS).read_bytes() == first and find_last(run)[0] == last
    last.write_bytes(first[: len(first) // 2])
    found, contents = find_last(run)
    assert found.name == PREVIOUS and contents["global_step"] == 3
    assert "last.ckpt cannot be read" in (said := capsys.readouterr().err) and PREVIOUS in said
    found.write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read"):
        find_last(run)
    last.unlink()
    found.unlink()
    with pytest.raises(FileNotFoundError, match="nothing was trained"):
        find_last(run)


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"a": 1}, path)

    def full(*args, **kwargs):
        args[1].write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        OSError, match="No space left on device.*the checkpoint before it is whole"
    ):
        AtomicCheckpointIO().save_checkpoint({"a": 2}, path)
    assert torch.load(path, weights_only=True) == {"a": 1} and list(tmp_path.iterdir()) == [path]


def test_a_continued_metrics_file_forgets_what_came_after(tmp_path):
    logger = JSONLLogger(tmp_path)
    for step in range(5):
        logger.log_metrics({"a": step}, step)
    again = JSONLLogger(tmp_path, rows=3)
    again.log_metrics({"a": 10}, 3)
    assert [row["a"] for row in rows(tmp_path)] == [0, 1, 2, 10] and again.rows == 4
    assert JSONLLogger(tmp_path).rows == 4


def test_a_run_that_was_killed_in_its_test_has_the_same_results(tmp_path, monkeypatch):
    """Also one that max_steps ended inside an epoch."""
    words = ["train.py", "fit", *DIGITS, "--trainer.max_steps", "30", "--model.test_samples", "2"]
    monkeypatch.setattr(sys, "argv", words)
    VAECLI()
    run = run_of(tmp_path)
    results, logged = json.loads((run / "results.json").read_text()) | UNTIMED, rows(run)
    assert (results["steps"], results["epochs"]) == (30, round(30 / 21, 2))
    assert logged[-1]["epoch"] == 1 and "test/elbo" in logged[-1]
    (run / "results.json").unlink()
    words = ["--config", str(run / "config.yaml"), "--ckpt_path", str(run)]
    monkeypatch.setattr(sys, "argv", ["train.py", "fit", *words])
    VAECLI()
    assert json.loads((run / "results.json").read_text()) | UNTIMED == results
    assert rows(run) == logged


@pytest.mark.e2e
def test_a_finished_run_is_left_alone_and_a_longer_one_goes_on(tmp_path):
    folder = tmp_path / "r"
    finish(start("train.py", ["fit", *RUNS["gaussian"]], folder), folder)
    run = run_of(folder)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    finish(start("resume.py", [str(run)], folder), folder)
    assert "complete: nothing to do" in (folder / "log").read_text()
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    finish(start("resume.py", [str(run), "--trainer.max_epochs", "8"], folder), folder)
    whole = tmp_path / "whole"
    longer = [*RUNS["gaussian"], "--trainer.max_epochs", "8"]
    finish(start("train.py", ["fit", *longer], whole), whole)
    last = [read_checkpoint(p / "checkpoints" / "last.ckpt") for p in (run, run_of(whole))]
    for key, value in last[0]["state_dict"].items():
        assert torch.equal(value, last[1]["state_dict"][key])


@pytest.mark.e2e
def test_what_cannot_be_continued_says_so(tmp_path):
    folder = tmp_path / "r"
    child = start("train.py", ["fit", *RUNS["gaussian"], "--trainer.max_epochs", "100000"], folder)
    while not list(folder.glob("*/checkpoints/best.ckpt")):
        assert child.is_alive()
    assert kill(child, folder, random.Random(0), "training", signal.SIGINT)
    run = run_of(folder)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    finish(start("resume.py", [str(run), "--data.batch_size", "32"], folder), folder, 2)
    assert (
        "with batch_size 64, not 32: continue with the run's own" in (folder / "log").read_text()
    )
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    finish(start("resume.py", [str(tmp_path / "nowhere")], folder), folder, 2)
    assert f"{tmp_path / 'nowhere'} is no folder: name a run's folder" in (
        (folder / "log").read_text()
    )
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    finish(start("resume.py", [str(run)], folder), folder, 2)
    assert "nothing was trained there yet" in (folder / "log").read_text()
