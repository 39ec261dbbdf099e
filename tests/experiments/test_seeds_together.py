"""Studies whose seeds are trained at once: where that pays, and as if one after the other."""

import json
from pathlib import Path

import pytest
import yaml

from vae.cli import seeds, study_groups
from vae.cli.study_groups import Task, plan

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "experiments" / "configs" / "digits.yaml"
SHORT = {"trainer.max_epochs": 2, "trainer.limit_train_batches": 3, "image_every": 0}
SHORT |= {"model.hidden": "[16]", "model.test_samples": 2}


def begun(folder, name, can_go_on=False, done=False, runs=None):
    """A folder as a run, or a group, leaves it."""
    run = folder / name
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"id": name} | ({"runs": runs} if runs else {})))
    if can_go_on:
        (run / "goes-on").touch()
    if done:
        (run / "results.json").write_text("{}")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(study_groups, "can_go_on", lambda run: (run / "goes-on").exists())
    return tmp_path


def test_seeds_are_trained_at_once_from_four_on(folder):
    assert plan(folder, "a", range(3), None) == [Task("a", (s,)) for s in range(3)]
    assert plan(folder, "a", range(5, 9), None) == [Task("a", (5, 6, 7, 8))]
    assert plan(folder, "a", range(2), True) == [Task("a", (0, 1))]
    assert plan(folder, "a", range(1), True) == [Task("a", (0,))]
    assert plan(folder, "a", range(9), False) == [Task("a", (s,)) for s in range(9)]
    large = plan(folder, "a", range(22), None)
    assert [task.seeds for task in large] == [tuple(range(16)), tuple(range(16, 22))]


def test_what_is_done_is_left_and_what_was_begun_alone_goes_on_alone(folder):
    begun(folder, "20260101-000000-a-seed1-00aa", done=True)
    begun(folder, "20260101-000000-a-seed7-00aa", can_go_on=True)
    begun(folder, "20260101-000000-a-seed8-00aa")  # ended before its first checkpoint
    tasks = plan(folder, "a", range(12), None)
    assert tasks == [Task("a", (2, 3, 4, 5, 6)), Task("a", (8, 9, 10, 11))] + [
        Task("a", (0,)),
        Task("a", (7,)),
    ]


def test_a_group_that_was_cut_short_goes_on_as_one(folder):
    def runs(label, numbers):
        return [f"20260101-000000-{label}-seed{s}-00aa" for s in numbers]

    begun(folder, "20260101-000001-a-x5-00aa", True, runs=runs("a", range(5)))
    begun(folder, "20260101-000002-a-x5-00bb", runs=runs("a", range(5)))  # no checkpoint
    begun(folder, "20260101-000003-a-b-x5-00aa", True, runs=runs("a-b", range(5)))
    group = folder / "20260101-000001-a-x5-00aa"
    assert plan(folder, "a", range(5), None) == [Task("a", tuple(range(5)), group)]
    assert plan(folder, "a", range(7), None) == [
        Task("a", tuple(range(5)), group),
        Task("a", (5,)),
        Task("a", (6,)),
    ]
    assert plan(folder, "a", range(4), None) == [Task("a", (0, 1, 2, 3))]  # not all are wanted
    assert plan(folder, "a", range(5), False) == [Task("a", (s,)) for s in range(5)]
    for name in runs("a", range(5)):
        begun(folder, name, done=True)
    assert plan(folder, "a", range(5), None) == []


def processes(monkeypatch):
    """The commands of the processes that a study starts."""
    import forked

    started = []

    def popen(command, **options):
        started.append(command[3])
        return forked.Popen(command, **options)

    monkeypatch.setattr("subprocess.Popen", popen)
    return started


@pytest.mark.e2e
def test_seeds_at_once_give_what_they_give_one_after_the_other(monkeypatch, tmp_path, capsys):
    started = processes(monkeypatch)
    arguments = {"config": str(CONFIG), "seeds": 2, "options": SHORT}
    together = seeds.study(name="t", together=True, **arguments)
    assert started == ["train-many"]
    assert "seeds 0 to 1 at once" in capsys.readouterr().out
    alone = seeds.study(name="a", together=False, **arguments)
    assert started == ["train-many", "fit", "fit"]
    rows = [summary["variants"]["digits"] for summary in (together, alone)]
    assert rows[0].keys() == rows[1].keys()
    for metric in ("test/elbo", "test/rate", "test/log_likelihood_2"):
        assert rows[0][metric]["values"] == pytest.approx(rows[1][metric]["values"], abs=0.01)
    for seed in range(2):
        runs = [next((tmp_path / name).glob(f"*-digits-seed{seed}-*")) for name in ("t", "a")]
        configs = [yaml.safe_load((run / "config.yaml").read_text()) for run in runs]
        for config in configs:
            del config["name"], config["group"]
        assert configs[0] == configs[1]
    started.clear()
    assert seeds.study(name="t", **arguments) == together and started == []


@pytest.mark.e2e
def test_a_study_goes_on_with_a_group_that_was_cut_short(monkeypatch, tmp_path, capsys):
    started = processes(monkeypatch)
    arguments = {"config": str(CONFIG), "seeds": 4, "options": SHORT, "name": "t"}
    first = seeds.study(**arguments)
    (group,) = (tmp_path / "t").glob("*-x4-*")
    (group / "summary.json").unlink()  # as if it had been killed in the test
    runs = sorted((tmp_path / "t").glob("*-seed*-????????"))
    for run in runs:
        (run / "results.json").unlink()
    again = seeds.study(**arguments)
    assert started == ["train-many"] * 2 and "(continued)" in capsys.readouterr().out
    assert sorted((tmp_path / "t").glob("*-seed*-????????")) == runs
    values = [s["variants"]["digits"]["test/elbo"]["values"] for s in (first, again)]
    assert values[0] == values[1]


@pytest.mark.e2e
def test_what_cannot_be_trained_at_once_is_trained_one_after_the_other(
    monkeypatch, tmp_path, capsys
):
    started = processes(monkeypatch)
    config = tmp_path / "beta.yaml"
    model = {"class_path": "ContinuousVAE", "init_args": {"latent": "beta", "hidden": [8]}}
    config.write_text(yaml.safe_dump({"model": model, "data": {"class_path": "DigitsDataModule"}}))
    options = {k: v for k, v in SHORT.items() if k != "model.hidden"}
    seeds.study(str(config), 2, "b", options, together=True)
    assert started == ["train-many", "fit", "fit"]
    said = capsys.readouterr().out
    assert "beta: its seeds are trained one after the other (" in said
    assert "cannot be trained many at once" in said


@pytest.mark.e2e
def test_seeds_that_diverge_beside_others_are_named(monkeypatch, tmp_path):
    started = processes(monkeypatch)
    options = SHORT | {"model.lr": 1e20, "trainer.max_epochs": 3}
    for _ in range(2):  # nothing is trained again
        with pytest.raises(ValueError, match=r"2 of 2 .*digits \(seed 0, which diverged\)"):
            seeds.study(str(CONFIG), 2, "d", options, together=True)
    assert started == ["train-many"]


def test_several_jobs_train_one_seed_each(tmp_path):
    with pytest.raises(ValueError, match="seeds trained at once are one job, got jobs 2"):
        seeds.study(str(CONFIG), 4, "s", SHORT, jobs=2, together=True)
    assert not list(tmp_path.iterdir())
