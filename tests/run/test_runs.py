"""A run's folder: what is refused changes nothing in it, one process works in it, and nothing is
written or deleted outside of it. In this process, on the digits; real kills are in test_resume."""

import errno
import fcntl
import json
import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest
import torch
import wandb_offline
import yaml
from bad_input import run
from chaos import ROOT, rows
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from vae.cli import resume
from vae.data.folder import data_dir
from vae.run.atomic import PREVIOUS
from vae.run.best import BestCheckpoint, forget_foreign_paths
from vae.run.checkpoint import find_checkpoint, folder_of, newest_run
from vae.run.files import writable
from vae.run.finding import find_runs, set_aside
from vae.run.folder import new_run, run_id, runs_dir
from vae.run.here import vae_here
from vae.run.lock import RunLock, is_running
from vae.run.state import how_to_go_on
from vae.run.wandb import RunLogger
from vae.run.wandb_mode import wandb_id

SMALL = "--model.hidden [16] --model.test_samples 2 --image_every 0"
TRAIN = f"train.py fit --config experiments/configs/digits.yaml {SMALL} --trainer.max_epochs"


def state(folder):
    """Every file of a folder, what is in it and when it was last written; W&B's logs aside, which
    its service in this process writes when it is asked to end."""
    return {
        path: (os.lstat(path).st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
        if path.suffix != ".log"
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder, and in it a run of two epochs, W&B offline."""
    folder = tmp_path_factory.mktemp("trained").resolve()
    (folder / "experiments").symlink_to(ROOT / "experiments")
    done = run(f"WANDB_MODE=offline {TRAIN} 2 --group g", folder, train=True)
    assert done.code == 0, done.err
    (path,) = (folder / "runs").iterdir()
    return path


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """A folder with a copy of that run in ``runs``."""
    monkeypatch.setenv("VAE_RUNS_DIR", str(tmp_path / "runs"))
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    shutil.copytree(trained, tmp_path / "runs" / trained.name, symlinks=True)
    return tmp_path


def only_run(folder):
    (path,) = (folder / "runs").iterdir()
    return path


# Refused -----------------------------------------------------------------------------------------

SHADOWS = "--trainer.callbacks vae.ShadowEstimators"
REFUSED = {
    "accelerator": ("--trainer.accelerator abacus", "abacus"),
    "strategy": ("--trainer.strategy nope", "nope"),
    "devices": ("--trainer.accelerator cpu --trainer.devices -7", "devices was 1"),
    "in the trainer's own checks": ("--trainer.limit_val_batches -1", "limit_val_batches"),
    "when training starts": (f"{SHADOWS} --trainer.callbacks.estimators [arm]", "ARM"),
    "W&B": ("", "WANDB_MODE=loud"),
}


@pytest.mark.e2e
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing_in_a_complete_run(case, folder):
    flags, words = REFUSED[case]
    path, before = only_run(folder), state(folder)
    wandb = "loud" if case == "W&B" else "disabled"
    line = f"WANDB_MODE={wandb} resume.py {path} --trainer.max_epochs 3 {flags}"
    code, _, err = run(line, folder, train=True)
    assert code == 2 and words in err and "Traceback" not in err, err
    assert state(folder) == before


def test_a_new_run_that_is_refused_when_training_starts_leaves_nothing(folder):
    before = state(folder)
    line = f"{TRAIN} 1 {SHADOWS} --trainer.callbacks.estimators [arm]"
    assert run(line, folder, train=True).code == 2
    assert state(folder) == before


# One process at a time ---------------------------------------------------------------------------


def test_a_run_that_is_in_use_is_neither_resumed_nor_deleted(folder):
    path = only_run(folder)
    other = path.with_name("20260101-000000-t-00aa")
    shutil.copytree(path, other, symlinks=True)
    (path / "results.json").unlink()
    lock = RunLock(path)
    lock.acquire()  # another open file: as another process would hold it
    before = state(path)
    assert is_running(path) and not is_running(other)
    code, _, err = run(f"resume.py {path} --trainer.max_epochs 3", folder, train=True)
    assert code == 2 and f"{path} is in use: process {os.getpid()} on " in err
    assert "complete: nothing to do" in run("resume.py", folder, train=True).out  # the other
    said = run("clean_runs.py --keep 0", folder)
    assert (
        said.code == 0 and f"kept: runs/{path.name} is in use" in said.out and not other.exists()
    )
    assert state(path) == before
    said = run("resume.py", folder, train=True)
    assert said.code == 2 and "no run to continue in" in said.err
    lock.close()
    assert not is_running(path) and state(path) == before
    assert run("clean_runs.py --keep 0", folder).code == 0 and not path.exists()


def test_resume_takes_the_newest_run_that_was_cut_short(folder, monkeypatch):
    path = only_run(folder)
    newer = path.with_name("20990101-000000-t-00aa")
    shutil.copytree(path, newer, symlinks=True)
    (path / "results.json").unlink()
    monkeypatch.setenv("VAE_RUNS_DIR", str(path.parent))
    assert resume._newest(longer=False) == path
    assert resume._newest(longer=True) == newer


def test_a_record_that_is_rewritten_stays_held(tmp_path):
    path = tmp_path / "r"
    lock = RunLock(path)
    lock.create()
    lock.write({"id": "r"})
    assert is_running(path)
    lock.write({"id": "r", "pid": 3, "host": "h"})
    assert json.loads((path / "run.json").read_text())["pid"] == 3 and is_running(path)
    with pytest.raises(ValueError, match="is in use"):
        RunLock(path).acquire()
    with pytest.raises(ValueError, match="is another run's"):
        RunLock(path).create()
    lock.close()
    with closing(RunLock(path)) as again:
        again.acquire()
    assert [p.name for p in path.iterdir()] == ["run.json"]


def test_a_file_system_without_locks_is_told_once_and_used(tmp_path, monkeypatch, capsys):
    (tmp_path / "run.json").write_text("{}")

    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with closing(RunLock(tmp_path)) as lock:
        lock.acquire()
    assert "has no locks" in capsys.readouterr().err and not is_running(tmp_path)


def test_a_checkpoint_written_since_it_was_read_is_not_continued(folder, monkeypatch):
    path = only_run(folder)
    acquire = RunLock.acquire

    def late(self):  # the other process wrote once more, and ended
        os.utime(path / "checkpoints" / "last.ckpt")
        acquire(self)

    monkeypatch.setattr(RunLock, "acquire", late)
    before = (path / "metrics.jsonl").read_bytes()
    code, _, err = run(f"resume.py {path} --trainer.max_epochs 3", folder, train=True)
    assert code == 2 and "was just written anew" in err
    assert (path / "metrics.jsonl").read_bytes() == before


def test_new_runs_never_share_a_folder(monkeypatch):
    monkeypatch.setattr("time.strftime", lambda *args: "20260101-000000")
    names = iter(["00", "00", "01"])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(names))
    first = new_run("t")
    RunLock(first).create()
    second = new_run("t")
    assert (first.name[-2:], second.name[-2:]) == ("00", "01")
    monkeypatch.undo()
    assert len({new_run("t").name for _ in range(1000)}) == 1000  # 5e5 pairs / 2^32: 1e-4


def test_clean_runs_leaves_what_is_no_run(folder, tmp_path):
    path = only_run(folder)
    mine = path.with_name("20250101-000000-photographs-00aa")
    mine.mkdir()
    (mine / "a.png").touch()
    link = path.with_name("20250102-000000-link-00aa")
    link.symlink_to(path)
    assert run("clean_runs.py --keep 0", folder).code == 0
    assert (mine / "a.png").exists() and link.is_symlink() and not path.exists()


# Paths -------------------------------------------------------------------------------------------


def craft(path, precious):
    """Has a run's checkpoint name other files as its own."""
    contents = torch.load(path, weights_only=True)
    states = {k: v for k, v in contents["callbacks"].items() if k.startswith("ModelCheckpoint")}
    (own,) = states.values()
    name = str(path.parent / ".." / ".." / ".." / precious.name)
    score = torch.tensor(-1e9)
    own["dirpath"] = str(path.parent)
    own |= dict.fromkeys(("best_model_path", "kth_best_model_path", "last_model_path"), name)
    own |= {"best_k_models": {name: score}, "best_model_score": score, "kth_value": score}
    contents["callbacks"] |= {key.replace("val/elbo", "val/rate"): own for key in states}
    torch.save(contents, path)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_crafted_checkpoint_deletes_nothing(kind, folder):
    path, precious = only_run(folder), folder / "precious"
    if kind == "file":
        precious.write_text("mine")
    else:
        precious.mkdir()
        (precious / "a").touch()
    (path / "checkpoints" / "best.ckpt").unlink()
    craft(path / "checkpoints" / "last.ckpt", precious)
    options = '{"monitor":"val/rate","mode":"max","filename":"{step}","dirpath":"%s"}'
    extra = f"--trainer.callbacks ModelCheckpoint --trainer.callbacks.init_args '{options}'"
    extra %= path / "checkpoints"
    done = run(f"resume.py {path} --trainer.max_epochs 3 {extra}", folder, train=True)
    assert done.code == 0, done.err
    assert precious.exists() and (precious.is_file() or list(precious.iterdir()))
    assert "it starts anew" in done.err
    assert (path / "checkpoints" / "best.ckpt").is_file()  # a crafted score does not win either


@pytest.mark.parametrize(
    "name", ["../x", "/x", "{own}/../x", "s3://bucket/x", "{own}", "{own}/link/x", 3]
)
def test_paths_outside_are_forgotten(name, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "link").symlink_to(tmp_path)
    callback = ModelCheckpoint(dirpath=own)
    callback.best_k_models = {
        str(own / "a.ckpt"): torch.tensor(1.0),
        name.format(own=own) if isinstance(name, str) else name: torch.tensor(2.0),
    }
    forget_foreign_paths([callback])
    assert callback.best_k_models == {}
    callback.best_model_path = str(own / "sub" / "a.ckpt")
    forget_foreign_paths([callback])
    assert callback.best_model_path == str(own / "sub" / "a.ckpt")


def test_a_run_that_was_moved_keeps_its_best(folder):
    path = only_run(folder)
    (path / "results.json").unlink()
    moved = folder / "elsewhere"
    path.rename(moved)
    last = moved / "checkpoints" / "last.ckpt"
    contents = torch.load(last, weights_only=True)
    (state_of,) = (v for k, v in contents["callbacks"].items() if k.startswith("ModelCheckpoint"))
    state_of["best_model_score"] = torch.tensor(-1.0)  # never reached
    torch.save(contents, last)
    best = (moved / "checkpoints" / "best.ckpt").read_bytes()
    done = run(f"resume.py {moved} --trainer.max_epochs 3", folder, train=True)
    assert done.code == 0, done.err
    assert (moved / "checkpoints" / "best.ckpt").read_bytes() == best
    assert json.loads((moved / "run.json").read_text())["id"] == path.name == run_id(moved)


def test_a_run_is_itself_by_whatever_path(folder, monkeypatch):
    path = only_run(folder)
    link = folder / "link"
    link.symlink_to(path)
    assert run_id(link) == wandb_id(link) == path.name
    line = "--trainer.max_epochs 2 --trainer.limit_test_batches 0"
    for number, place in enumerate(("resume.py ../../link", "resume.py .")):
        (path / "results.json").unlink()
        done = run(f"{place} {line}", path, train=True)
        assert done.code == 0 and f"continuing in {path}" in done.out, done.err
        record = json.loads((path / "run.json").read_text())
        assert [r["id"] for r in record["continued"]] == [path.name] * (number + 1)
    monkeypatch.chdir(path / "checkpoints")
    assert folder_of(Path("last.ckpt")) == path
    for wrong in ("../../x", "", 3):
        (path / "run.json").write_text(json.dumps({"id": wrong}))
        with pytest.raises(ValueError, match="names no run"):
            run_id(path)


def test_an_id_that_is_a_path_is_refused_before_anything_is_written(folder):
    path = only_run(folder)
    (path / "wandb_id").write_text("../../x")
    before = state(folder)
    line = f"WANDB_MODE=offline resume.py {path} --trainer.max_epochs 3"
    code, _, err = run(line, folder, train=True)
    assert code == 2 and "wandb_id names no run" in err and "Traceback" not in err, err
    assert state(folder) == before


def test_folders_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAE_RUNS_DIR", "~/x")
    assert runs_dir() == tmp_path / "x" and new_run("t").parent == tmp_path / "x"
    assert writable(Path("~/deep/a.json")) == tmp_path / "deep" / "a.json"
    assert not (tmp_path / "deep").exists()
    monkeypatch.setenv("VAE_RUNS_DIR", "")
    assert runs_dir() == Path("runs")


def test_a_result_that_cannot_be_written_is_known_before_it_is_computed(folder, monkeypatch):
    path = only_run(folder)
    monkeypatch.setattr("vae.models.vae.VAE.log_likelihood", None)  # it would be called
    for output in (path, path / "run.json" / "x.json", "/proc/x.json"):
        code, _, err = run(f"evaluate.py {path} --log_likelihood 5 --output {output}", folder)
        assert code == 2 and err.startswith("error: cannot write"), err


# What is promised --------------------------------------------------------------------------------


def test_only_what_can_be_resumed_is_promised_to_be(folder):
    path = only_run(folder)
    assert how_to_go_on(path) == f"continue: {vae_here()} resume {path}"
    last = path / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    (last.parent / "last-previous.ckpt").unlink()
    last.write_bytes(whole[:100])
    assert how_to_go_on(path).startswith("start it anew")
    last.unlink()
    assert how_to_go_on(path).startswith("start it anew")
    spaced = path.with_name("a b")
    (spaced / "checkpoints").mkdir(parents=True)
    (spaced / "checkpoints" / "last.ckpt").write_bytes(whole)
    assert how_to_go_on(spaced) == f"continue: {vae_here()} resume '{spaced}'"


def test_the_first_checkpoint_on_a_full_disk_promises_nothing(folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    code, _, err = run(f"{TRAIN} 1", folder, train=True)
    assert code == 2 and "start it anew" in err and "resume" not in err and "whole" not in err


def test_what_was_made_is_set_aside_when_training_goes_on(folder):
    path = only_run(folder)
    assert run(f"evaluate.py {path}", folder).code == 0
    assert run(f"sample.py {path} --count 4", folder).code == 0
    made = {name: (path / name).read_bytes() for name in ("evaluation-test.json", "results.json")}
    step = json.loads(made["evaluation-test.json"])["step"]
    done = run(f"resume.py {path} --trainer.max_epochs 3", folder, train=True)
    aside = path / "superseded" / f"step-{step}"
    assert done.code == 0 and f"are now in {aside}" in done.out, done.err
    assert {name: (aside / name).read_bytes() for name in made} == made
    assert (aside / "images" / "samples.png").exists()
    assert not (path / "evaluation-test.json").exists() and (path / "results.json").exists()
    assert set_aside(path, 42).name == "step-42-2" and set_aside(path, 42) is None


# The environment, and names shared with W&B ------------------------------------------------------


def test_one_process_writes_whatever_rank_the_environment_says(folder, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # as it is imported under LOCAL_RANK=1
    before = set((folder / "runs").iterdir())
    done = run(f"LOCAL_RANK=1 WANDB_MODE=offline {TRAIN} 1", folder, train=True)
    (path,) = set((folder / "runs").iterdir()) - before
    assert done.code == 0 and rows(path) and (path / "results.json").exists()
    assert list(path.glob("wandb/offline-run-*/*.wandb"))


def test_every_name_that_is_shared_with_wandb_is_in_its_record(trained):
    (file,) = trained.glob("wandb/offline-run-*/*.wandb")
    page = wandb_offline.read(file)
    assert (page.id, page.name, page.group, page.job_type) == (trained.name,) * 2 + ("g", "train")
    sweep = yaml.safe_load((ROOT / "experiments" / "sweeps" / "discrete.yaml").read_text())
    assert isinstance(page.summary[sweep["metric"]["name"]], float)
    validated = [row for row in page.history if "val/elbo" in row]
    best = [row[sweep["metric"]["name"]] for row in validated]
    values = [row["val/elbo"] for row in validated]
    assert best == [max(values[: n + 1]) for n in range(len(values))] and len(best) == 2
    assert page.summary["val/elbo"]["max"] == page.summary["best/val_elbo"]
    keys = set().union(*page.history)
    for name, metric in page.metrics.items():
        assert name == "*" or name in keys, name
        assert metric.step_metric in (keys | {""}), name
    options = yaml.safe_load((trained / "config.yaml").read_text())
    own = {"run", "image_shape", "parameters"}
    assert set(page.config) - {"_wandb"} == set(options) | own  # no second copy, flat
    nested = page.config["model"]["init_args"] | page.config["data"]["init_args"]
    assert not set(nested) & set(page.config)


def test_the_best_goes_on_where_a_run_is_continued(tmp_path):
    class Page:
        sent = []

        def log(self, row):
            self.sent.append(row)

    path = tmp_path / "metrics.jsonl"
    lines = [{"step": n, "time": 0, "val/elbo": v} for n, v in enumerate((-5.0, -3.0, -9.0))]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    logger = RunLogger(3, 2, experiment=Page(), save_dir=str(tmp_path))
    logger.resend(path)
    for value in (float("nan"), -4.0, -2.0):
        logger.log_metrics({"val/elbo": value}, 3)
    assert [row["best/val_elbo"] for row in Page.sent] == [-3.0, -3.0, -3.0, -2.0]


def test_runs_of_studies_are_found_and_synced_with_spaces_too(folder):
    path = only_run(folder)
    study = folder / "runs" / "my study"
    study.mkdir()
    newer = study / "renamed"
    shutil.copytree(path, newer, symlinks=True)
    record = json.loads((path / "run.json").read_text())
    (newer / "run.json").write_text(json.dumps(record | {"started": "2099-01-01T00:00:00+0000"}))
    assert find_runs() == [path, newer] and newest_run() == newer
    done = run("VAE_RUNS_DIR=runs wandb_sync.py --dry_run true", folder)
    assert done.code == 0
    parts = [f"runs/{p}/wandb/offline-run-" for p in (path.name, "my study/renamed")]
    assert len(done.out.splitlines()) == 2 and all(part in done.out for part in parts)
    link = folder / "runs" / "link"
    link.symlink_to(newer)
    again = run("VAE_RUNS_DIR=runs wandb_sync.py --dry_run true", folder)
    assert len(again.out.splitlines()) == 2  # each part once
    link.unlink()
    for file in newer.glob("wandb/offline-run-*/*.wandb"):
        file.with_name(f"{file.name}.synced").touch()
    lock = RunLock(path)
    lock.acquire()
    said = run("wandb_sync.py --dry_run true", folder).out
    assert "left for later" in said and "nothing to upload" in said
    lock.close()


def test_a_run_that_was_killed_between_two_names_is_read_from_the_one_before(tmp_path):
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / PREVIOUS).touch()
    assert find_checkpoint(tmp_path) == checkpoints / PREVIOUS
    (checkpoints / "last.ckpt").touch()
    assert find_checkpoint(tmp_path).name == "last.ckpt"


@pytest.mark.parametrize("text", ["[1]", '{"continued": 3, "pid": "x"}', "{", "\x00"])
def test_another_run_s_damaged_record_ends_nothing(text, tmp_path):
    import quickstart

    for name, record in (("a", '{"pid": 7, "started": "2020-01-01T00:00:00+0000"}'), ("b", text)):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "last.ckpt").touch()
        (tmp_path / name / "run.json").write_text(record)
    assert quickstart.run_of(7) == str(tmp_path / "a")
    with closing(RunLock(tmp_path / "b")) as lock:
        lock.acquire()
        with pytest.raises(ValueError, match="process"):
            RunLock(tmp_path / "b").acquire()


@pytest.mark.parametrize("given", ["", " "])
def test_an_empty_setting_is_none(given, monkeypatch):
    monkeypatch.setenv("VAE_RUNS_DIR", given)
    assert runs_dir() == Path("runs")
    monkeypatch.setenv("VAE_DATA_DIR", given)
    assert data_dir() == ROOT / "data"


def test_the_best_checkpoint_needs_a_score(tmp_path):
    callback = BestCheckpoint(tmp_path)
    for wrong in ({}, {"best_model_score": None}, {"best_model_score": "high"}):
        callback.load_state_dict(wrong)
        assert callback.best_k_models == {} and callback.best_model_path == ""


def test_an_evaluations_numbers_are_in_the_summary_of_the_runs_page(folder):
    path = only_run(folder)
    before = set(path.glob("wandb/offline-run-*"))
    assert run(f"WANDB_MODE=offline evaluate.py {path} --log_likelihood 3", folder).code == 0
    (added,) = set(path.glob("wandb/offline-run-*")) - before
    (file,) = added.glob("*.wandb")
    page = wandb_offline.read(file)
    metrics = json.loads((path / "evaluation-test.json").read_text())["metrics"]
    assert page.id == path.name
    for name in ("elbo", "log_likelihood_3"):
        assert page.summary[f"evaluation/test/{name}"] == metrics[name]["mean"]
