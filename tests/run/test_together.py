"""Models trained at once are never lost: killed at any moment, they end as if never stopped."""

import json
import random
import shutil
import signal
import time

import pytest
import torch
from chaos import DISCRETE, SHORT, _assert_equal, assert_same_run, finish, pages, rows, start

from vae.cli import resume
from vae.cli.errors import one_line_errors
from vae.run.checkpoint import load, newest_run
from vae.run.finding import find_runs, group_of, is_group

pytestmark = pytest.mark.e2e

# a baseline with a moving average, a schedule, two learning rates, validation inside the epochs
MANY = ["--data", "DigitsDataModule", *DISCRETE, *SHORT, "--name", "many", "--seeds", "2"]
MANY += ["--model.estimator", "reinforce_moving_average", "--model.beta_warmup", "60"]
MANY += ["--vary", '{"lr": [1e-3, 3e-3]}', "--trainer.val_check_interval", "8"]


def group_in(folder):
    (group,) = (p for p in folder.glob("*-many-x4-*") if p.is_dir())
    return group


def runs_in(folder):
    """The models' runs, by the name without date and id."""
    found = [p for p in folder.iterdir() if p.is_dir() and p != group_in(folder)]
    return {p.name.split("-", 2)[2].rpartition("-")[0]: p for p in found}


@pytest.fixture(scope="module")
def uninterrupted(once):
    """Four models, trained without a kill."""
    return once("together", lambda f: finish(start("train_many.py", MANY, f), f))


def assert_same_group(folder, reference):
    """All four runs, and what they go on from, are the same to the last bit."""
    runs, expected = runs_in(folder), runs_in(reference)
    assert runs.keys() == expected.keys() and len(runs) == 4
    for name, run in runs.items():
        assert_same_run(run, expected[name])
    states = [
        torch.load(group_in(f) / "checkpoints" / "last.ckpt", weights_only=True)
        for f in (folder, reference)
    ]
    for state in states:
        assert len(state["vae"]["generators"]) == 4 and len(state["optimizer_states"]) == 1
        for member in state["vae"]["members"]:
            del member["id"]
    _assert_equal(*states, "last.ckpt")
    summaries = [
        json.loads((group_in(f) / "summary.json").read_text()) for f in (folder, reference)
    ]
    for summary in summaries:
        del summary["run"], summary["seconds"], summary["test_seconds"]
        for variant in summary["variants"].values():
            del variant["runs"]
    assert summaries[0] == summaries[1]


def kill(process, folder, generator, moment, number):
    """Sends a signal at a random moment; whether the models were still being trained."""
    log, deadline, begun = folder / "log", time.monotonic() + 300, "models at once in "
    starts = log.read_text().count("(go on)")
    while (
        not list(folder.glob("*-x4-*/checkpoints/last.ckpt"))
        or log.read_text().count(begun) <= starts
    ):
        assert process.is_alive() and time.monotonic() < deadline, log.read_text()
        time.sleep(0.005)
    time.sleep(generator.uniform(0, 0.6))
    if moment == "writing":
        patterns = ["*/checkpoints/.*.ckpt.tmp"]
        while process.is_alive() and not any(list(folder.glob(p)) for p in patterns):
            pass
    if process.is_alive():
        process.kill() if number == signal.SIGKILL else process.terminate()
    process.join(120)
    if (group_in(folder) / "summary.json").exists():
        return False  # too late
    expected = -number if number == signal.SIGKILL else 128 + number
    assert process.exitcode == expected, log.read_text()
    if number == signal.SIGTERM:
        assert "interrupted at step" in log.read_text() and "vae resume" in log.read_text()
    with log.open("a") as file:
        file.write("(go on)\n")
    return True


def killed_and_resumed(folder, seed, moment, number, wandb="disabled", flags=()):
    """Kills four models twice, if it comes to that, and lets them end; how often."""
    generator, kills = random.Random(seed), 0
    child = start("train_many.py", [*MANY, *flags], folder, wandb)
    while kills < 2 and kill(child, folder, generator, moment, number):
        kills += 1
        child = start("resume.py", [str(group_in(folder))], folder, wandb)
    finish(child, folder) if child.is_alive() or kills else None
    return kills


@pytest.mark.parametrize(
    "moment, number, wandb",
    [
        ("training", signal.SIGKILL, "disabled"),
        ("writing", signal.SIGKILL, "offline"),
        ("training", signal.SIGTERM, "disabled"),
    ],
)
def test_models_that_are_killed_end_as_if_they_had_never_stopped(
    moment, number, wandb, uninterrupted, tmp_path
):
    kills = 0
    for seed in range(5):  # a kill may come too late
        folder = tmp_path / str(seed)
        if kills := killed_and_resumed(folder, seed, moment, number, wandb):
            break
    assert kills
    assert_same_group(folder, uninterrupted)
    assert len(json.loads((group_in(folder) / "run.json").read_text())["continued"]) == kills
    for run in runs_in(folder).values():
        assert len(json.loads((run / "run.json").read_text())["continued"]) == kills
        if wandb == "offline":
            assert [row["row"] for row in pages(run)] == list(range(len(rows(run))))


@pytest.mark.slow
def test_models_whose_step_is_compiled_go_on_to_the_last_bit_too(tmp_path):
    flags, reference = ["--compile", "true"], tmp_path / "reference"
    finish(start("train_many.py", [*MANY, *flags], reference), reference)
    kills = 0
    for seed in range(5):
        folder = tmp_path / str(seed)
        if kills := killed_and_resumed(folder, seed, "writing", signal.SIGKILL, flags=flags):
            break
    assert kills and "not compiled" not in (folder / "log").read_text()
    assert_same_group(folder, reference)


@pytest.mark.slow
@pytest.mark.chaos
def test_forty_kills(uninterrupted, tmp_path):
    kinds = [(m, n) for m in ("training", "writing") for n in (signal.SIGKILL, signal.SIGTERM)]
    kills, trial = 0, 0
    while kills < 40:
        found = killed_and_resumed(tmp_path / str(trial), trial, *kinds[trial % len(kinds)])
        if found:
            assert_same_group(tmp_path / str(trial), uninterrupted)
        kills, trial = kills + found, trial + 1
    print(f"{kills} kills, 0 runs lost")


def test_a_complete_group_says_so_and_a_model_s_run_leads_to_it(uninterrupted, capsys):
    group, run = group_in(uninterrupted), next(iter(runs_in(uninterrupted).values()))
    for named in (group, run):
        resume.resume(str(named), [])
        assert f"{group} is complete: nothing to do" in capsys.readouterr().out
    assert group_of(run) == group and is_group(group) and not is_group(run)


def test_a_group_is_no_model_to_evaluate(uninterrupted, monkeypatch):
    monkeypatch.setenv("VAE_RUNS_DIR", str(uninterrupted))
    assert newest_run() != group_in(uninterrupted)
    assert len(find_runs()) == 4
    assert find_runs(groups=True) == [group_in(uninterrupted)]
    with pytest.raises(ValueError, match="many models trained at once: name the run of one"):
        load(group_in(uninterrupted))


@pytest.fixture
def copied(uninterrupted, tmp_path):
    """The same, not tested yet."""
    shutil.copytree(uninterrupted, tmp_path / "copy")
    (group_in(tmp_path / "copy") / "summary.json").unlink()
    return tmp_path / "copy"


def last(folder):
    return group_in(folder) / "checkpoints" / "last.ckpt"


def edited(folder, change):
    checkpoint = torch.load(last(folder), weights_only=True)
    change(checkpoint["vae"])
    torch.save(checkpoint, last(folder))
    (group_in(folder) / "checkpoints" / "last-previous.ckpt").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "change, flags, line",
    [
        (None, ["--seeds", "3"], "seeds was 2 in"),
        (None, ["--seed_everything", "4"], "was trained with seed_everything 0, not 4"),
        (None, ["--model.hidden", "[16]"], "was trained with hidden [32], not [16]"),
        (None, ["--trainer.max_epochs", "2", "--trainer.max_steps", "9"], "less than what"),
        (lambda own: own["members"].pop(), [], "does not say whose the models in it are"),
        (lambda own: own["members"][1].update(id="../x"), [], "does not say whose the models"),
        (
            lambda own: own["members"][1].update(id="gone"),
            [],
            "gone is not there, one of the runs",
        ),
    ],
)
def test_what_cannot_go_on_is_refused_in_a_line_and_nothing_is_changed(
    change, flags, line, copied, monkeypatch, capsys
):
    if change:
        edited(copied, change)
    before = {p: p.read_bytes() for p in copied.rglob("*") if p.is_file()}
    monkeypatch.setattr("sys.argv", ["resume.py"])
    monkeypatch.setenv("VAE_RUNS_DIR", str(copied))
    with pytest.raises(SystemExit) as error, one_line_errors():
        resume.resume(str(group_in(copied)), flags)
    text = capsys.readouterr().err
    assert error.value.code == 2 and text.startswith("error: ") and text.count("\n") == 1, text
    assert line in text
    assert {p: p.read_bytes() for p in copied.rglob("*") if p.is_file()} == before


def test_a_group_that_lacks_its_test_is_tested_and_one_that_is_made_longer_trains_on(
    script, copied, uninterrupted
):
    environment = {"VAE_RUNS_DIR": str(copied), "WANDB_MODE": "disabled"}
    process = script("resume.py", **environment)  # the newest that was cut short
    assert process.code == 0, process.err
    assert_same_group(copied, uninterrupted)
    runs = runs_in(copied)
    first, second, *_ = (p for _, p in sorted(runs.items()))

    def believe(own):
        own["members"][0]["best"], own["members"][1]["diverged"] = 1.0, True

    edited(copied, believe)  # what it knows of the past, it does not learn anew
    best = (first / "checkpoints" / "best.ckpt").read_bytes()
    process = script("resume.py", group_in(copied), "--trainer.max_epochs", "7", **environment)
    assert process.code == 0, process.err
    for run in runs.values():
        results = json.loads((run / "results.json").read_text())
        assert results["epochs"] == 7 and results["diverged"] == (run == second)
        assert (run / "superseded").is_dir()
    assert (first / "checkpoints" / "best.ckpt").read_bytes() == best
    assert f"1 diverged, and are in no mean: {second.name}" in " ".join(process.out.split())
