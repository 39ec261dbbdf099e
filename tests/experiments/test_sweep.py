"""What W&B's sweep agent would start, and the disk's hygiene."""

import os
from pathlib import Path

import pytest
import yaml
from chaos import ROOT, finish, run_of, start

from vae.cli import clean_runs
from vae.run.wandb_mode import wandb_id


@pytest.mark.e2e
def test_the_agents_command_trains(tmp_path):
    """The agent replaces ``${args}`` by ``--name=value``."""
    sweep = yaml.safe_load(
        (ROOT / "experiments" / "sweeps" / "discrete.yaml").read_text(encoding="utf-8")
    )
    parameters = sweep["parameters"]
    chosen = {name: p.get("values", [p.get("min")])[-1] for name, p in parameters.items()}
    words = sweep["command"][3:]
    assert words[0] == "fit" and words[-1] == "${args}"
    words[-1:] = [f"--{name}={value}" for name, value in chosen.items()]
    words = [str(ROOT / w) if w.startswith("experiments/") else w for w in words]
    words += [
        "--data",
        "DigitsDataModule",
        "--trainer.max_epochs",
        "1",
        "--model.test_samples",
        "2",
    ]
    finish(start("train.py", words, tmp_path), tmp_path)
    config = yaml.safe_load((run_of(tmp_path) / "config.yaml").read_text(encoding="utf-8"))
    options = config["model"]["init_args"]
    assert config["seed_everything"] == chosen["seed_everything"]
    assert (
        options["lr"] == chosen["model.lr"] and options["estimator"] == chosen["model.estimator"]
    )


def test_a_sweeps_run_keeps_the_id_that_the_agent_gave_it(tmp_path, monkeypatch):
    run = tmp_path / "20260101-000000-t-0000"
    assert wandb_id(run) == run.name
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    monkeypatch.setenv("WANDB_RUN_ID", "abc123")
    assert wandb_id(run) == "abc123"
    monkeypatch.delenv("WANDB_SWEEP_ID")
    monkeypatch.delenv("WANDB_RUN_ID")
    assert wandb_id(run) == "abc123"  # continued without the agent


def test_clean_runs_keeps_the_newest_and_touches_nothing_else(tmp_path, monkeypatch):
    names = [f"2026010{day}-000000-t-00aa" for day in range(1, 6)]
    for name in [*names, "a study", "notes"]:
        (tmp_path / name / "checkpoints").mkdir(parents=True)
    for name in [*names, "a study"]:
        (tmp_path / name / "run.json").write_text("{}")
    link = tmp_path / "20260101-000000-link-00aa"  # to a run that is kept elsewhere
    link.symlink_to(tmp_path / "notes")
    assert clean_runs.clean_runs(2) == names[:3]
    link.unlink()
    left = {path.name for path in Path(os.environ["VAE_RUNS_DIR"]).iterdir()}
    assert left == {*names[3:], "a study", "notes"}
    assert clean_runs.clean_runs(2) == [] and clean_runs.clean_runs(0) == names[3:]
    with pytest.raises(ValueError, match="must not be negative"):
        clean_runs.clean_runs(-1)
