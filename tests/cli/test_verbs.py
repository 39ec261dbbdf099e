"""The ``vae`` command: its verbs, its own configurations, and the wheel that brings them."""

import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from vae.cli import main, resume
from vae.cli.arguments import CONFIGS, with_named_configurations
from vae.run.record import command_line

ROOT = Path(__file__).resolve().parents[2]


def vae(monkeypatch, *words):
    """Runs the command in this process, whose streams stay as they are."""
    monkeypatch.setattr(sys, "argv", ["vae", *words])
    monkeypatch.setattr(main, "prepare", lambda: None)
    main.main()


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_list_has_a_line_for_every_verb(words, monkeypatch, capsys):
    vae(monkeypatch, *words)
    printed = capsys.readouterr().out
    listed = re.findall(r"^  (\S+) +\S.*$", printed, re.M)
    assert listed == list(main.VERBS) and max(map(len, printed.splitlines())) < 100


def test_the_list_imports_neither_torch_nor_lightning():
    code = (
        "import sys; sys.argv = ['vae']; from vae.cli.main import main; main();"
        "print([n for n in ('torch', 'lightning', 'wandb', 'jsonargparse') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("verb", main.VERBS)
def test_help_of_a_verb_names_the_command(verb, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        vae(monkeypatch, verb, "--help")
    lines = capsys.readouterr().out.splitlines()
    assert [
        line for line in lines if len(line) > 60 and len(line.split()) > 1 and line[:3] != "  -"
    ] == []
    printed = " ".join(" ".join(lines).split())
    python = r"Union|Optional\[|Literal|<class|:\w+:`|``|default: (null|None|True|False)\b"
    assert not re.search(python, printed.partition("Customize every aspect")[0])
    assert not re.search(r"<class|:\w+:`|``|Union|[(]required[^)]*by default", printed)
    assert str(ROOT) not in printed
    assert re.match(rf"usage: vae (\[\S+\] )?{verb} ", printed), printed[:200]


@pytest.mark.parametrize("debug", [False, True])
def test_a_mistake_is_followed_by_nothing(debug, tmp_path):
    """As by what C++ libraries say at a process's end of objects that are still there."""
    words = ["fit", "--config", "digits", "--model.latent_dim", "0", *["--debug"] * debug]
    command = [sys.executable, "-m", "vae", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    lines = done.stderr.splitlines()
    assert done.returncode == (1 if debug else 2) and (debug or len(lines) == 1)
    assert "latent_dim must be at least 1, got 0" in lines[-1]


@pytest.mark.parametrize(
    "word, hint", [("smaple", "did you mean sample?"), ("xyz", "vae --help lists them")]
)
def test_an_unknown_verb_is_one_line(word, hint, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        vae(monkeypatch, word, "--debug")
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: there is no verb '{word}': {hint}\n"


@pytest.mark.parametrize("started", ["vae", "experiments/train.py"])
def test_further_processes_of_a_resumed_run_are_started_as_the_first(
    started, monkeypatch, tmp_path
):
    """Lightning starts them with this process's ``sys.argv``."""
    (tmp_path / "config.yaml").write_text("name: x\n")
    monkeypatch.setattr(sys, "argv", [started, "resume", str(tmp_path), "--name", "x"])
    monkeypatch.setattr(resume, "VAECLI", lambda: None)
    resume.main(sys.argv[2:], "vae resume")
    config = ["--config", f"{tmp_path}/config.yaml", "--ckpt_path", f"{tmp_path}"]
    assert sys.argv == [started, "fit", *config, "--name", "x"]


def test_a_run_records_what_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/vae", "fit", "--name", "a b"])
    assert command_line() == "vae fit --name 'a b'"
    monkeypatch.setattr(sys, "argv", ["experiments/train.py", "fit"])
    assert command_line() == "python experiments/train.py fit"


def test_a_configuration_of_the_package_is_given_by_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = f"{CONFIGS / 'gaussian'}.yaml"
    for words in (["--config", "gaussian"], ["-c", "gaussian"]):
        assert with_named_configurations(["fit", *words]) == ["fit", words[0], path]
    assert with_named_configurations(["--config=gaussian"]) == [f"--config={path}"]
    same = ["fit", "--name", "gaussian", "--config", "a/gaussian.yaml", "--config"]
    assert with_named_configurations(same) == same
    path = f"{CONFIGS / 'models' / 'iwae'}.yaml"
    assert with_named_configurations(["--config", "models/iwae"]) == ["--config", path]
    with pytest.raises(
        ValueError, match="config gauss is no file, .*: belief_net_disarm, .*, digits, "
    ):
        with_named_configurations(["--config", "gauss"])
    with pytest.raises(ValueError, match="config models/gauss is no file, .*, models/binary, mod"):
        with_named_configurations(["--config", "models/gauss"])
    Path("gaussian").touch()  # the user's own comes first
    assert with_named_configurations(["--config", "gaussian"]) == ["--config", "gaussian"]


def test_the_readmes_configurations_are_the_packages():
    folder = ROOT / "experiments" / "configs"
    assert folder.resolve() == CONFIGS.resolve() and len(list(folder.glob("*.yaml"))) >= 8


def own_files():
    """Paths of all files of the package."""
    paths = [path for path in (ROOT / "vae").rglob("*") if path.is_file()]
    return {str(p.relative_to(ROOT)) for p in paths if p.parent.name != "__pycache__"}


def test_files_that_are_no_modules_are_declared_as_the_packages():
    """Those that are not would be missing from the wheel, without a word."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^vae = \[(.*)\]$", text, re.M)
    declared = {
        p for pattern in re.findall(r'"(.+?)"', listed) for p in ROOT.glob(f"vae/{pattern}")
    }
    others = {name for name in own_files() if not name.endswith(".py")}
    assert others == {str(path.relative_to(ROOT)) for path in declared}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package's wheel, built without a network, unpacked; and the names in it."""
    installed = {found.name for found in importlib.metadata.distributions()}
    if (
        not {"setuptools", "pip"} <= installed
    ):  # (to look for pip as a module takes distutils away)
        pytest.skip("pip and setuptools build the wheel, and one is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("vae", "experiments", "tests"):  # the latter two must not be in it
        shutil.copytree(ROOT / name, source / name, ignore=ignore, symlinks=True)
    (source / "data").mkdir()
    (source / "data" / "__init__.py").touch()
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "-w", str(folder)]
    command = [sys.executable, "-m", "pip", "wheel", ".", "--disable-pip-version-check", *options]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as file:
        file.extractall(folder / "unpacked")
        return folder / "unpacked", set(file.namelist())


@pytest.mark.e2e
def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    folder, names = wheel
    assert {name for name in names if ".dist-info/" not in name} == own_files()
    (entry,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "vae = vae.cli.main:main" in (folder / entry).read_text()


@pytest.mark.e2e
def test_the_source_distribution_holds_the_package_too(wheel):
    folder, _ = wheel
    code = "from setuptools import build_meta; build_meta.build_sdist('.')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder.parent / "source", capture_output=True
    )
    assert done.returncode == 0, done.stderr
    (path,) = (folder.parent / "source").glob("*.tar.gz")
    with tarfile.open(path) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert own_files() <= names


@pytest.mark.e2e
def test_every_verb_is_imported_from_the_wheel(wheel, script, tmp_path):
    """Without this repository, whose modules are forgotten first; a page finds its assets there."""
    folder, _ = wheel
    code = f"""
import importlib, sys
sys.path[:] = [{str(folder)!r}, *(p for p in sys.path if not p.startswith({str(ROOT)!r} + "/vae"))]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in str(f)]
for name in [name for name in sys.modules if name.partition(".")[0] == "vae"]:
    del sys.modules[name]
from vae.cli.main import VERBS
for verb in VERBS:
    module = importlib.import_module("vae.cli." + verb.replace("-", "_"))
    assert module.__file__.startswith({str(folder)!r}), module.__file__
    assert callable(module.main)
from vae.cli.playground import playground
playground({str(tmp_path / "page.html")!r})
print("all", len(VERBS))
"""
    (tmp_path / "check.py").write_text(code)
    done = script(tmp_path / "check.py")
    assert done.out.split()[-2:] == ["all", str(len(main.VERBS))], done.err
    assert (tmp_path / "page.html").stat().st_size > 100_000


@pytest.mark.e2e
def test_the_librarys_classes_need_no_module_on_the_command_line():
    """In an interpreter of its own, where no test has imported them."""
    words = ["fit", "--model", "GaussianVAE", "--data", "DigitsDataModule", "--print_config"]
    command = [sys.executable, "-m", "vae", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "class_path: vae." in done.stdout and "latent_dim: " in done.stdout


@pytest.mark.e2e
def test_sampling_imports_no_lightning(trained_run, tmp_path):
    code = (
        "import sys; from vae.cli.main import run; run('sample', 'vae sample', sys.argv[1:]);"
        "print([name for name in ('lightning', 'wandb', 'vae.training') if name in sys.modules])"
    )
    words = [str(trained_run("gaussian")), "--output", str(tmp_path / "samples.png")]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr
    assert (tmp_path / "samples.png").stat().st_size > 1000
