"""The commands and the code of the guide's pages work as they are typed; the figures' cells have tests of their own."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vae.cli.app import VAECLI
from vae.cli.main import VERBS, run
from vae.estimators.names import ESTIMATORS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "experiments" / "guide"
TEXT = {
    p.relative_to(GUIDE).as_posix(): p.read_text(encoding="utf-8") for p in GUIDE.rglob("*.md")
}
TARGETS = set(
    re.findall(
        r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
)


def commands(text):
    """What a page has a reader type: lines of its sh blocks, and make commands in its sentences."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(
        r"(?<!`)`(make [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    )
    plain = [" ".join(line.split("  #")[0].split()) for line in lines]
    return [line for line in plain if line]


COMMANDS = sorted({command for text in TEXT.values() for command in commands(text)})


def typed(command):
    """The verb and the words of ``vae`` that a command of vae, make or a script comes to; None for others."""
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(
            ["make", "-n", "-o", ".venv/.installed", *words[1:]],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        words = next(
            (w for w in map(shlex.split, done.stdout.splitlines()) if "experiments/" in str(w)), []
        )
        words = words[1:]  # of .venv/bin/python
    elif words[0] == "python":
        words = words[1:]
    elif words[0] == "vae":
        return (words[1], words[2:]) if words[1:] else None
    if not words or not words[0].startswith("experiments/"):
        return None
    verb = Path(words[0]).stem.replace("_", "-")
    return ("fit", words[2:]) if verb == "train" else (verb, words[1:])


def test_commands_are_found():
    assert len(COMMANDS) > 60
    assert commands("a `make x\n ARGS=1` b\n```sh\nvae fit  # so\n```\n") == [
        "vae fit",
        "make x ARGS=1",
    ]
    fit = typed('make train-discrete ARGS="--model.estimator rebar"')
    assert fit[0] == "fit" and fit[1][-2:] == ["--model.estimator", "rebar"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists(command):
    program, *words = command.split()
    if program == "vae":
        assert not words or words[0] in VERBS  # alone it lists them
    elif program == "make" and words:  # alone it lists targets
        assert words[0] in TARGETS
    for path in re.findall(r"(?:=|\s)(experiments/[\w/.-]+)", command):
        assert (ROOT / path).exists()


FITS = [
    c
    for c in COMMANDS
    if re.match(r"vae fit|make (fit|train-(?!many))", c) and not c.endswith("=")
]


@pytest.mark.parametrize("command", FITS)
def test_a_training_command_is_understood(command, capsys, monkeypatch):
    _, words = typed(command)
    named = dict(zip(words, words[1:], strict=False)).get("--model.estimator", "rloo")
    assert named in ESTIMATORS  # of which the parser knows no names
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["vae"])
    with pytest.raises(SystemExit) as ended:
        VAECLI(["fit", *words, "--print_config"])
    assert ended.value.code in (0, None), capsys.readouterr().err
    assert "class_path: vae." in capsys.readouterr().out


OF_CHECKPOINTS = [
    c for c in COMMANDS if re.search(r"(CKPT|RUN)=\S*\.\.\.|runs/\.\.\.|any\.ckpt", c)
]


@pytest.mark.parametrize("command", [c for c in OF_CHECKPOINTS if c not in FITS])
def test_all_that_a_command_lacks_is_the_checkpoint(command, capsys, monkeypatch, tmp_path):
    verb, words = typed(command)
    monkeypatch.chdir(tmp_path)  # where there is no run
    monkeypatch.setattr(sys, "argv", ["vae", verb, *words])
    with pytest.raises(SystemExit):
        run(verb, f"vae {verb}", words)
    assert re.search(
        r"^error: (no |there is no |\S+ holds no |\S+ is no folder)",
        capsys.readouterr().err,
        flags=re.MULTILINE,
    )


PYTHON = {
    f"{page}-{number}": block
    for page, text in TEXT.items()
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.M)
    )
    if page != "how-to/hub.md"  # which needs the network; its cells do the same with a folder
}


@pytest.mark.parametrize("block", PYTHON)
def test_code_that_is_no_cell_runs(block):
    scope = {"features": torch.randn(2, 64), "f": lambda z, q: z.sum((-1, -2))}
    exec(PYTHON[block], scope)
