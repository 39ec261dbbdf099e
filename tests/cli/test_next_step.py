"""The last line of a verb is a command that works as it stands, and reads the same model."""

import importlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vae.cli import main, next_step
from vae.cli.next_step import STEPS, about

ROOT = Path(__file__).resolve().parents[2]
STRANGE = ["it's", 'a "b" $HOME $(x)', "-x", "späße 数", "a#b %c;d&e", "*", "back\\slash"]
READERS = sorted({s.verb for s in STEPS.values() if s.same} - {"fit", "curves", "report"})
VAE = Path(sys.executable).parent / "vae"


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with runs of strange names, in which nothing says who started the tests."""
    for name in STRANGE:
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.ckpt").touch()
    monkeypatch.chdir(tmp_path)
    for name in ("MAKELEVEL", "MAKEFLAGS", "VAE_HINTS", "LOCAL_RANK", "RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def command(line):
    """The command of the line, as it would be copied."""
    assert line.startswith("next: ") and line.endswith(")"), line
    return line.removeprefix("next: ").rpartition("  (")[0]


def words_of(line, folder):
    """What a shell makes of the command; by make, of what make runs."""
    text = command(line)
    if text.startswith("make "):
        text = f"make -n --no-print-directory -o .venv/.installed {text.removeprefix('make ')}"
        done = subprocess.run(text, shell=True, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        text = done.stdout.strip()
    said = subprocess.run(f"printf '%s\\0' {text}", shell=True, capture_output=True, cwd=folder)
    return os.fsdecode(said.stdout).split("\0")[:-1]


class Read(BaseException):
    """What a verb is about to read."""


@pytest.fixture
def stops(monkeypatch):
    """Makes the verbs stop where they would read."""

    def stop(named, *rest, **options):
        raise Read(named)

    for verb in READERS:
        module = importlib.import_module(f"vae.cli.{verb.replace('-', '_')}")
        monkeypatch.setattr(module, "checkpoint_to_read", stop)
    monkeypatch.setattr("vae.run.history.histories", stop)
    monkeypatch.setattr("vae.pages.report.contents.is_run", lambda path: False)


SAME = [verb for verb, step in STEPS.items() if step.same and verb != "data"]


@pytest.mark.parametrize("number", range(len(SAME)), ids=SAME)
@pytest.mark.parametrize("caller", ["vae", "make", "script"])
def test_it_reads_the_same_whatever_its_name(number, caller, there, stops, monkeypatch):
    verb = SAME[number]
    step, own = STEPS[verb].verb, STEPS[verb].data
    program = f"vae {verb}" if caller == "vae" else f"{verb.replace('-', '_')}.py"
    monkeypatch.setattr(sys, "argv", [str(ROOT / "experiments" / program)])
    if caller == "make":
        monkeypatch.setenv("MAKELEVEL", "1")
    given = STRANGE if step in ("curves", "report") else [STRANGE[number % len(STRANGE)]]
    about(*given)
    line = next_step.next_step(verb, program, ["--data.x", "a $b", "--seed=1"], "os")
    words = words_of(line, there)
    assert words[-2:] == ["--trust", "os"] and (words[-4:-2] == ["--data.x", "a $b"]) == own
    words = words[: -4 if own else -2]
    if caller == "vae":
        start = words.index(step)
        assert words[:start] in (["vae"], [str(VAE)], [sys.executable, "-m", "vae"])
    else:
        start = 1
        assert words[1].endswith(f"experiments/{step.replace('-', '_')}.py")
    with pytest.raises(Read) as read:
        main.run(step, f"vae {step}", words[start + 1 :])
    (found,) = read.value.args
    found = [Path(p) for p in (found if isinstance(found, list) else [found])]
    assert all(path.is_dir() for path in found)
    assert [str(path) for path in found] == given  # ./-x is -x


@pytest.mark.parametrize("verb", [verb for verb, step in STEPS.items() if not step.same])
def test_where_nothing_is_read_nothing_is_named(verb, there, monkeypatch):
    about("a run")
    line = next_step.next_step(verb, f"vae {verb}", ["x", "--data", "Mine"], "os")
    assert command(line).split()[-1] == STEPS[verb].verb


def test_after_data_comes_training_on_them(there, monkeypatch):
    words = ["--data", "EMNIST", "--data.subset=letters"]
    line = command(next_step.next_step("data", "vae data", words))
    assert line.endswith("vae fit --config gaussian --data EMNIST --data.subset=letters")
    monkeypatch.setattr(sys, "argv", [str(ROOT / "experiments" / "prepare_data.py")])
    found = words_of(next_step.next_step("data", "prepare_data.py", []), there)[1:]
    assert found[1:3] == ["fit", "--config"] and Path(found[3]).is_file()
    monkeypatch.setenv("MAKELEVEL", "1")
    assert command(next_step.next_step("data", "prepare_data.py", [])) == "make train-gaussian"


def test_the_command_is_found_where_it_is_typed(there, monkeypatch):
    about("x")
    for folder, said in ((VAE.parent, "vae"), (Path("/nowhere"), shlex.quote(str(VAE)))):
        monkeypatch.setenv("PATH", str(folder))
        if VAE.exists():
            assert command(next_step.next_step("kl", "vae kl", [])) == f"{said} evaluate x"
    (there / "bin").mkdir()
    (there / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(there / "bin" / "python"))
    line = command(next_step.next_step("kl", "vae kl", []))
    assert line == "bin/python -m vae evaluate x"


def test_some_say_nothing(there, monkeypatch):
    assert next_step.next_step("fit", "vae fit", ["--trainer.fast_dev_run", "true"]) is None
    assert next_step.next_step("clean-runs", "vae clean-runs", []) is None
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert next_step.next_step("sample", "vae sample", []) is None
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert next_step.next_step("sample", "vae sample", []) is not None
    monkeypatch.setenv("VAE_HINTS", "0")
    assert next_step.next_step("sample", "vae sample", []) is None


def last_line(capsys, verb, *words):
    main.run(verb, f"vae {verb}", [*words])
    return command(capsys.readouterr().out.splitlines()[-1])


def test_the_shipped_one_that_was_read_is_named(there, monkeypatch, capsys):
    """Which is not the one that the next verb would take."""
    monkeypatch.setenv("VAE_RUNS_DIR", "runs")
    said = last_line(capsys, "latent-map", "--columns", "2", "--output", "x.png")
    assert said.endswith("vae interpolate manifold")
    said = last_line(capsys, "sample", "--output", "x.png", "gaussian")
    assert said.endswith("vae explore gaussian")


def test_one_of_ones_own_is_read_and_a_line_says_so(there, monkeypatch, capsys):
    monkeypatch.setenv("VAE_RUNS_DIR", "runs")
    shutil.copy(ROOT / "experiments" / "checkpoints" / "manifold.ckpt", "gaussian")
    main.run("sample", "vae sample", ["gaussian"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("gaussian: yours is read, gaussian; the one that comes trained is ")
    assert said[0].endswith("experiments/checkpoints/gaussian.ckpt")
    Path("gaussian").unlink()
    Path("gaussian").mkdir()
    with pytest.raises(SystemExit):
        main.run("sample", "vae sample", ["gaussian"])
    assert "; the one that comes trained is " in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.e2e
def test_every_line_runs(there, trained_run):
    """From the shell that printed it, on a run whose name needs quotes; data and all."""
    run = there / "it's a run"
    shutil.copytree(trained_run("gumbel"), run)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"}
    environment |= {"VAE_RUNS_DIR": str(there / "runs"), "COLUMNS": "80"}
    begin = f"{shlex.quote(sys.executable)} -m vae"
    seen = set()
    few = " --replicates 4 --reference_replicates 20 --warm_up_steps 0 --images 2"
    for verb in ("reconstruct", "sample", "latent-map", "code-usage", "encode", "report"):
        line = f"{begin} {verb} {shlex.quote(run.name)}"
        while line and line not in seen:
            seen.add(line)
            line += few * (" gradients " in line)
            done = subprocess.run(
                line, shell=True, capture_output=True, text=True, env=environment, cwd=there
            )
            assert done.returncode == 0, (line, done.stderr)
            last = done.stdout.splitlines()[-1]
            line = command(last) if last.startswith("next: ") else None
    assert any(" evaluate " in line for line in seen) and any("estimators" in s for s in seen)
