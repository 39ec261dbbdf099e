"""Where a verb cannot write, it says so before the work, and what to do."""

import os
import signal
import time
from pathlib import Path

import pytest

from vae.cli.errors import one_line_errors
from vae.cli.main import run
from vae.cli.seeds import _plain
from vae.run import shipped
from vae.run.folder import assert_name, assert_runs_can_be_written, new_run

SUFFIXES = {
    **dict.fromkeys(["sample", "reconstruct", "interpolate", "traverse", "kl"], ".png"),
    **{"latent-map": ".pdf", "code-usage": ".png", "explore": ".html", "evaluate": ".json"},
}


def refused(verb, words, capsys):
    """The one line with which a verb ends."""
    with pytest.raises(SystemExit) as ended:
        run(verb, f"vae {verb}", words)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("verb", SUFFIXES)
def test_a_place_that_takes_no_file_is_known_before_anything_is_read(
    verb, tmp_path, monkeypatch, capsys
):
    """The checkpoint, an empty file, would be refused too."""
    monkeypatch.chdir(tmp_path)
    Path("x.ckpt").touch()
    target = f"x.ckpt/out{SUFFIXES[verb]}"
    line = f"error: cannot write {target} (Not a directory): name another place by --output"
    assert refused(verb, ["x.ckpt", "--output", target], capsys) == line
    assert os.listdir() == ["x.ckpt"]


def test_a_clone_without_write_permission_says_where_results_can_go(monkeypatch, capsys):
    monkeypatch.setenv("VAE_RUNS_DIR", "/proc/runs")  # where even root makes no folder
    line = refused("sample", ["gaussian"], capsys)
    assert line.startswith("error: cannot write /proc/runs/shipped/gaussian/images/samples.png (")
    assert line.endswith(
        "): name another place by --output, or set VAE_RUNS_DIR to a folder for all results"
    )


def test_runs_that_cannot_be_written_are_known_before_the_data_are_read(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAE_RUNS_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr("sys.argv", ["vae", "fit", "--config", "gaussian"])
    line = refused("fit", [], capsys)
    assert line.startswith(f"error: cannot write runs to {tmp_path / 'file'} (Not a directory)")
    assert line.endswith("set VAE_RUNS_DIR to a folder for them")


def test_whether_runs_can_be_written_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_RUNS_DIR", str(tmp_path / "a" / "b"))
    assert_runs_can_be_written()
    assert not os.listdir(tmp_path)
    assert new_run("x").parent == tmp_path / "a" / "b"


def test_outside_a_clone_a_trained_checkpoints_name_is_explained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VAE_RUNS_DIR", raising=False)
    monkeypatch.setattr(shipped, "PROJECT", tmp_path)
    assert "by name, come with a clone of the repository" in refused(
        "sample", ["gaussian"], capsys
    )
    line = refused("sample", [], capsys)
    assert "no run with a checkpoint in runs: train one first (vae fit --config digits" in line
    assert "make" not in line and not os.listdir(tmp_path)


def test_sigterm_ends_a_verb_as_ctrl_c_does():
    """By an exception, so that temporary files are removed."""
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ended, one_line_errors():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        assert ended.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("name", ["my größer config", "变", "-a-", "plain_1.0"])
def test_a_study_is_named_after_any_file(name):
    assert_name(_plain(name))
    assert not _plain(name).startswith(("-", "."))
    assert _plain("plain_1.0") == "plain_1.0"
