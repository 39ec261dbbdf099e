"""Commands that a page runs, and what they print."""

from __future__ import annotations

import html
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["Printed", "Terminal"]

ROOT = Path(__file__).resolve().parents[3]


class Printed:
    """A command and what it printed, as a page shows them."""

    def __init__(self, command: str, lines: list[str]) -> None:
        self.command, self.lines = command, lines

    def _repr_html_(self) -> str:
        said = html.escape("\n".join(self.lines))
        typed = f'<span class="typed">{html.escape(self.command)}</span>'
        return f'<pre class="terminal" tabindex="0">{typed}\n{said}</pre>'


class Terminal:
    """A folder of its own, in which commands run one after the other.

    Arguments:
        copy: A folder of the repository whose files are in it from the start.
    """

    def __init__(self, copy: str | None = None) -> None:
        self._held = tempfile.TemporaryDirectory()
        self.folder = Path(self._held.name).resolve()
        if copy is not None:
            shutil.copytree(ROOT / copy, self.folder, dirs_exist_ok=True)
        colours = ("FORCE_COLOR", "CLICOLOR_FORCE")  # a kernel sets them, for its own output
        self._environment = {k: v for k, v in os.environ.items() if k not in colours} | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "VAE_RUNS_DIR": "runs",
            "WANDB_MODE": "disabled",
            "COLUMNS": "80",
        }

    def run(self, command: str, last: int | None = None) -> Printed:
        """Runs a command, which must succeed.

        Arguments:
            command: As one types it; ``vae`` is this interpreter's, and lines may end in a backslash.
            last: How many of the lines that it printed are shown; None for all.

        Raises:
            RuntimeError: If it fails, with what it printed.
        """
        words = shlex.split(command.replace("\\\n", " "))
        start = {"vae": [sys.executable, "-m", "vae"], "python": [sys.executable]}
        words = [*start.get(words[0], words[:1]), *words[1:]]
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self._environment,
            encoding="utf-8",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command}\nended with {done.returncode}:\n{done.stdout}")
        lines = done.stdout.replace(f"{self.folder}/", "").rstrip().splitlines()
        shown = lines if last is None else ["…", *lines[-last:]] if last < len(lines) else lines
        return Printed(command, shown)

    def newest_run(self) -> Path:
        """The folder of the run that was trained last."""
        return max((self.folder / "runs").iterdir(), key=lambda run: run.stat().st_mtime)
