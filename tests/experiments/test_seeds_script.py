"""Studies: several seeds of several variants, started again where they stopped, summed up."""

import json
import math
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vae.cli import seeds, study_runs
from vae.run.seed_statistics import statistics

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "experiments" / "configs" / "digits.yaml"
SHORT = {"trainer.max_epochs": 1, "trainer.limit_train_batches": 3, "image_every": 0}
VARIANTS = {"small": {"model.latent_dim": 2}, "large": {"model.latent_dim": 4}}


@pytest.mark.e2e
def test_a_study_skips_what_is_done_and_sums_up(forked_scripts, tmp_path, capsys):
    arguments = {"config": str(CONFIG), "options": SHORT, "variants": VARIANTS, "name": "s"}
    one = seeds.study(seeds=1, **arguments)
    assert one["variants"]["small"]["test/elbo"]["se"] is None
    runs = {p.name for p in (tmp_path / "s").iterdir() if p.is_dir()}
    summary = seeds.study(seeds=2, jobs=2, **arguments)
    after = {p.name for p in (tmp_path / "s").iterdir() if p.is_dir()}
    assert runs < after and len(after) == 4
    assert json.loads((tmp_path / "s" / "summary.json").read_text()) == summary
    small, large = (summary["variants"][v]["test/elbo"] for v in VARIANTS)
    a, b = small["values"], large["values"]
    gaps = [y - x for x, y in zip(a, b, strict=True)]
    assert a[0] == one["variants"]["small"]["test/elbo"]["values"][0]
    assert large["difference"]["mean"] == pytest.approx(sum(gaps) / 2, abs=1e-4)
    assert large["difference"]["se"] == pytest.approx(
        abs(gaps[0] - gaps[1]) / 2, abs=1e-4
    )  # of two values
    assert small["se"] == pytest.approx(abs(a[0] - a[1]) / 2, abs=1e-4)
    assert "±" in capsys.readouterr().out
    for run in (tmp_path / "s").glob("*-large-seed1-????????"):
        config = (run / "config.yaml").read_text()
        assert (
            "latent_dim: 4" in config and "seed_everything: 1" in config and "group: s" in config
        )
    with pytest.raises(ValueError, match="other settings"):
        seeds.study(seeds=1, **(arguments | {"options": SHORT | {"model.lr": 0.1}}))


@pytest.mark.e2e
def test_a_run_that_fails_is_named_and_one_cut_short_is_continued(forked_scripts, tmp_path):
    bad = {"bad": {"model.latent_dim": 0}}
    with pytest.raises(ValueError, match=r"1 of 1 runs did not end: bad \(seed 0\)"):
        seeds.study(str(CONFIG), 1, "s", SHORT, bad)
    assert "latent_dim must be at least 1" in (tmp_path / "s" / "bad-seed0.log").read_text()
    good = {"good": {}}
    seeds.study(str(CONFIG), 1, "s", SHORT, good)
    (run,) = (tmp_path / "s").glob("*-good-seed0-????????")
    (run / "results.json").unlink()  # as if cut short after its last checkpoint
    seeds.study(str(CONFIG), 1, "s", SHORT, good)
    assert list((tmp_path / "s").glob("*-good-seed0-????????")) == [run]
    assert (run / "results.json").exists()


def test_a_run_is_found_by_its_whole_name(tmp_path):
    names = ["20260101-000000-high-lr-seed0-00aa", "20260101-000001-lr-seed10-00aa"]
    for name in names:
        (tmp_path / name).mkdir()
    assert study_runs.find(tmp_path, "lr", 0) is None
    assert study_runs.find(tmp_path, "high-lr", 0) == tmp_path / names[0]
    assert study_runs.find(tmp_path, "lr", 10) == tmp_path / names[1]


def test_nothing_is_handed_on_as_null():
    assert seeds._flags({"a": None, "b": 1}) == ["--a", "null", "--b", "1"]


def test_statistics():
    assert statistics([1.0, 3.0]) == {"mean": 2.0, "se": 1.0}
    assert statistics([5.0]) == {"mean": 5.0, "se": None}
    four = statistics([1.0, 2.0, 3.0, 4.0])
    assert four["se"] == pytest.approx(math.sqrt(5 / 3) / 2, abs=1e-4)


@pytest.mark.parametrize(
    "arguments,line",
    [
        (["--config", "nowhere.yaml"], "no configuration at nowhere.yaml"),
        (["--config", str(CONFIG), "--seeds", "0"], "seeds and jobs must be at least 1"),
        (["--config", str(CONFIG), "--name", "a/b"], "letters, digits"),
        (["--study", "nowhere.yaml"], "nowhere.yaml"),
        ([], "config"),
    ],
)
def test_mistakes_are_one_line(arguments, line, script, tmp_path):
    done = script("seeds.py", *arguments, folder=tmp_path)
    assert done.code == 2 and not list(tmp_path.iterdir())
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    assert line in done.err


def test_a_study_that_is_interrupted_ends_its_runs_and_begins_no_other(tmp_path, monkeypatch):
    real, begun = subprocess.Popen, []

    def popen(command, **options):
        begun.append(real([sys.executable, "-c", "import time; time.sleep(60)"]))
        return begun[-1]

    monkeypatch.setattr(study_runs.subprocess, "Popen", popen)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a test before has left
    main = threading.main_thread().ident
    threading.Timer(1.0, signal.pthread_kill, (main, signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        seeds.study(str(CONFIG), 3, "s", SHORT)
    assert time.monotonic() - started < 30
    assert [process.returncode for process in begun] == [-signal.SIGTERM]
