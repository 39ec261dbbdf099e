"""Continues a run that was cut short: it ends as if it had never stopped.

It goes on from its last checkpoint, in its folder and under its id. Further flags are those of
``vae fit``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from vae.cli.app import VAECLI
from vae.cli.next_step import about
from vae.cli.parser import ScriptParser
from vae.data.load import without_lightning
from vae.data.source import ImageSource
from vae.models.parts import current_name
from vae.models.trust import assert_trusted, resolve
from vae.run.finding import find_runs, group_of, is_group
from vae.run.folder import runs_dir
from vae.run.lock import is_running
from vae.run.plain_yaml import read_yaml
from vae.run.shipped import assert_not_shipped
from vae.run.state import can_go_on


def resume(run: str | None, flags: list[str]) -> None:
    """Trains on.

    Args:
        run: The run's folder; by default the newest that was cut short, and that no process trains.
            With flags, which may make it longer, a complete run can be continued too.
        flags: For ``vae fit``, such as a larger ``--trainer.max_epochs``.

    Raises:
        FileNotFoundError: If the folder is not a run's.
    """
    if any(flag.partition("=")[0] == "--ckpt_path" for flag in flags):
        raise ValueError("--ckpt_path is the run's: name the run, or use vae fit")
    folder = Path(run).expanduser() if run else _newest(bool(flags))
    assert_not_shipped(folder)
    if group := group_of(folder):
        print(f"{folder} is one of several trained at once, in {group}: they go on together")
        folder = group
    config = folder / "config.yaml"
    if not config.is_file():
        if (folder / "run.json").is_file():
            raise FileNotFoundError(f"{folder} was ended before it began: start it anew")
        what = f"{folder} holds no config.yaml" if folder.is_dir() else f"{folder} is no folder"
        raise FileNotFoundError(f"{what}: name a run's folder")
    about(folder, after="train-many" if is_group(folder) else None)
    if _is_complete(folder) and not flags:
        print(f"{folder} is complete: nothing to do")
        return
    # What a user gives as --config is trusted; this file is found in the run's folder.
    found = {k: v for k, v in read_yaml(config).items() if k not in ("name", "group", "tags")}
    assert_trusted(found, config, also=("lightning.pytorch",))
    assert_no_files(_without_images(found, config), config)
    # Lightning starts further processes with the arguments that this one has.
    sys.argv[1:] = ["fit", "--config", str(config), "--ckpt_path", str(folder), *flags]
    cli = VAECLI
    if is_group(folder):
        from vae.cli.train_many import ManyCLI as cli
    cli()


def _without_images(options: dict[str, Any], config: Path) -> dict[str, Any]:
    """Options without the paths that one of our own data modules reads images from."""
    data = options.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("init_args"), dict):
        return options
    own = without_lightning(current_name(str(data.get("class_path"))))
    paths = () if own is None else resolve(own, ImageSource, config).paths
    kept = {name: value for name, value in data["init_args"].items() if name not in paths}
    return options | {"data": data | {"init_args": kept}}


def assert_no_files(content: Any, config: Path) -> None:
    """Refuses a run's configuration that would have another file read as a part of it.

    Raises:
        ValueError: Naming that file.
    """
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            assert_no_files(value, config)
    elif isinstance(content, str) and content.strip():
        for path in (Path(content.strip()), config.parent / content.strip()):
            if path.is_file():
                raise ValueError(
                    f"{config} names the file {content}: give it as --config yourself"
                )


def _is_complete(run: Path) -> bool:
    return (run / ("summary.json" if is_group(run) else "results.json")).exists()


def _newest(longer: bool) -> Path:
    if max(int(os.environ.get(name) or 1) for name in ("WORLD_SIZE", "SLURM_NTASKS")) > 1:
        raise ValueError("several processes must mean the same run: name it (vae resume RUN)")
    found = find_runs(groups=True)
    newest = found[::-1] if longer else sorted(found[::-1], key=_is_complete)
    for run in newest:
        if not is_running(run) and can_go_on(run):
            return run
    others = f"; {len(found)} cannot be continued, or are being trained" if found else ""
    raise FileNotFoundError(f"no run to continue in {runs_dir()}{others}")


def main(words: list[str], program: str) -> None:
    named = bool(words) and not words[0].startswith("-")
    if {"-h", "--help"} & set(words):
        usage = f"{program} [RUN] [flags of fit]"
        ScriptParser(description=__doc__, usage=usage).print_help()
        raise SystemExit(0)
    resume(words[0] if named else None, words[named:])
