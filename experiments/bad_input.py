"""Makes the table of mistakes, each with the one line that it prints.

The mistakes are the cases of ``tests/cli/test_bad_input.py``.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import io
import json
import os
import runpy
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import wandb

from vae.cli.app import VAECLI
from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.run.files import writable, write_json

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "bad_input.json"
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
ENVIRONMENT = {
    "VAE_DATA_DIR": "none",
    "VAE_DEBUG": "",
    "VAE_RUNS_DIR": "runs",
    "WANDB_API_KEY": "",
    "WANDB_BASE_URL": "http://127.0.0.1:9",
    "WANDB_MODE": "disabled",
} | NO_NETWORK


class Outcome(NamedTuple):
    """How a script ended, and what it printed."""

    code: object
    out: str
    err: str


def command(line: str) -> str:
    """A case's line as one would type it: settings, script, arguments."""
    words = line.split(" ")
    script = next(number for number, word in enumerate(words) if word.endswith(".py"))
    return " ".join(
        [*words[:script], "python", f"experiments/{words[script]}", *words[script + 1 :]]
    )


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(line: str, folder: Path, train: bool = False) -> Outcome:
    """Runs a script of ``experiments`` in this process, in a folder.

    Arguments:
        line: Settings of the environment, the script's name, arguments.
        folder: The folder to run it in.
        train: Whether it may get as far as training; else that is an error.
    """
    words = shlex.split(line)
    settings = {}
    while "=" in words[0]:
        name, _, settings[name] = words.pop(0).partition("=")

    def fit(self: VAECLI, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("nothing was wrong: it would train")

    code: object = 0
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, ENVIRONMENT | settings),
        patch.object(sys, "argv", words),
        patch.object(VAECLI, "fit", VAECLI.fit if train else fit),
        redirect_stdout(out),
        redirect_stderr(err),
        _inside(folder),
    ):
        wandb.teardown()  # what it knows of another environment
        try:
            runpy.run_path(str(HERE / words[0]), run_name="__main__")
        except SystemExit as exit_:
            code = exit_.code
        except Exception:  # what an interpreter would do
            traceback.print_exc()
            code = 1
    return Outcome(code, out.getvalue(), err.getvalue())


def record(output: str = str(RESULTS)) -> None:
    """Runs every case and writes command and line as JSON.

    Args:
        output: The JSON to write.
    """
    path = writable(Path(output))
    sys.path += [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "cli")]
    from bad_files import make_files
    from test_bad_input import CASES

    rows = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        make_files(folder)
        for case, (line, _) in CASES.items():
            printed = (
                run(line, folder).err.replace(f"{folder}/", "").replace(f"{HERE.parent}/", "")
            )
            rows[case] = {"command": command(line), "line": printed.rstrip("\n")}
    write_json(path, rows)
    print(f"{len(rows)} cases: {output}")


def markdown(path: Path = RESULTS) -> str:
    """The table, from the committed JSON."""
    lines = ["| what is wrong | command | what is printed |", "|---|---|---|"]
    for case, row in json.loads(path.read_text(encoding="utf-8")).items():
        cells = [case, f"`{row['command']}`", f"`{row['line']}`"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    with one_line_errors():
        parser = ScriptParser(description=__doc__)
        parser.add_function_arguments(record)
        record(**vars(parser.parse_args()))
