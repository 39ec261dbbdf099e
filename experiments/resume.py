"""Continues a run that was cut short, in its folder and under its id, from its last checkpoint: it
ends as if it had never stopped. Further flags are those of train.py."""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import os
import sys
from pathlib import Path

from vae.cli.app import VAECLI
from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.run.checkpoint import can_go_on
from vae.run.finding import find_runs
from vae.run.folder import runs_dir
from vae.run.lock import is_running


def resume(run: str | None, flags: list[str]) -> None:
    """Trains on.

    Args:
        run: The run's folder; by default the newest that can be continued, and that no process
            trains.
        flags: For train.py, such as a larger ``--trainer.max_epochs``.

    Raises:
        FileNotFoundError: If the folder is not a run's.
    """
    if any(flag.partition("=")[0] == "--ckpt_path" for flag in flags):
        raise ValueError("--ckpt_path is the run's: name the run, or use train.py")
    folder = Path(run).expanduser() if run else _newest()
    config = folder / "config.yaml"
    if not config.is_file():
        if (folder / "run.json").is_file():
            raise FileNotFoundError(f"{folder} was ended before it began: start it anew")
        raise FileNotFoundError(f"{folder} holds no config.yaml: name a run's folder")
    if (folder / "results.json").exists() and not flags:
        print(f"{folder} is complete: nothing to do")
        return
    train = Path(__file__).with_name("train.py")  # what further processes are started as
    sys.argv = [str(train), "fit", "--config", str(config), "--ckpt_path", str(folder), *flags]
    VAECLI()


def _newest() -> Path:
    if max(int(os.environ.get(name) or 1) for name in ("WORLD_SIZE", "SLURM_NTASKS")) > 1:
        raise ValueError("several processes must mean the same run: name it (make resume RUN=...)")
    found = find_runs()
    for run in reversed(found):
        if not is_running(run) and can_go_on(run):
            return run
    others = f"; {len(found)} cannot be continued, or are being trained" if found else ""
    raise FileNotFoundError(f"no run to continue in {runs_dir()}{others}")


if __name__ == "__main__":
    with one_line_errors():
        words = sys.argv[1:]
        named = bool(words) and not words[0].startswith("-")
        if {"-h", "--help"} & set(words):
            ScriptParser(description=__doc__, usage="resume.py [RUN] [flags]").print_help()
        else:
            resume(words[0] if named else None, words[named:])
