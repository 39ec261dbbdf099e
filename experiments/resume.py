"""Continues a run that was cut short, in its folder and under its id, from its last checkpoint: it
ends as if it had never stopped. Further flags are those of train.py."""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import sys
from pathlib import Path

from vae.checkpoints import newest_run
from vae.cli import VAECLI, ScriptParser, one_line_errors


def resume(run: str | None, flags: list[str]) -> None:
    """Trains on.

    Args:
        run: The run's folder; by default the newest.
        flags: For train.py, such as a larger ``--trainer.max_epochs``.

    Raises:
        FileNotFoundError: If the folder is not a run's.
    """
    folder = Path(run) if run else newest_run()
    config = folder / "config.yaml"
    if not config.is_file():
        raise FileNotFoundError(f"{folder} holds no config.yaml: name a run's folder")
    if (folder / "results.json").exists() and not flags:
        print(f"{folder} is complete: nothing to do")
        return
    train = Path(__file__).with_name("train.py")  # what further processes are started as
    sys.argv = [str(train), "fit", "--config", str(config), "--ckpt_path", str(folder), *flags]
    VAECLI()


if __name__ == "__main__":
    with one_line_errors():
        words = sys.argv[1:]
        named = bool(words) and not words[0].startswith("-")
        if {"-h", "--help"} & set(words):
            ScriptParser(description=__doc__, usage="resume.py [RUN] [flags]").print_help()
        else:
            resume(words[0] if named else None, words[named:])
