"""How W&B starts and ends here, and under which id; it needs no Lightning.

W&B logs online where this machine is logged in, offline where it is not, and as ``WANDB_MODE``
says where that is set. It never asks, and is imported only where there is a page.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vae.run.folder import checked_id, run_id
from vae.whole_files import replace_text

__all__ = ["check_wandb", "finish_wandb", "prepare_wandb", "wandb_id", "wandb_mode"]


def wandb_mode() -> str:
    """The mode of W&B: ``WANDB_MODE``, or else online where W&B can be reached, or else offline.

    It can be reached where this machine is logged in and has a connection.

    Raises:
        ValueError: If ``WANDB_MODE`` is none that W&B knows.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode:
        if mode not in ("online", "offline", "disabled", "dryrun"):
            raise ValueError(f"WANDB_MODE={mode}: choose from online, offline, disabled")
        return mode
    os.environ.pop("WANDB_MODE", None)  # set but empty, which W&B itself would refuse
    import wandb

    try:
        return "online" if wandb.login(prompt=False) else "offline"
    except wandb.errors.Error:  # logged in, but W&B cannot be reached
        return "offline"


def check_wandb() -> str:
    """The mode in which W&B will start; nothing is written.

    Raises:
        ValueError: If the mode is unknown, or online while this machine is not logged in.
    """
    os.environ.setdefault("WANDB_SILENT", "true")  # before W&B is asked anything: read only once
    mode = wandb_mode()
    if mode == "online":
        import wandb

        if not wandb.login(prompt=False):
            raise ValueError(
                "WANDB_MODE=online, and this machine is not logged in: wandb login, or"
                " WANDB_MODE=offline"
            )
    return mode


def prepare_wandb(run: Path) -> str:
    """Makes a run's folder, has W&B write there, and returns the mode of W&B."""
    mode = check_wandb()
    run.mkdir(parents=True, exist_ok=True)
    # Artifacts are staged here, not in the home folder.
    os.environ["WANDB_DATA_DIR"] = str((run / "wandb" / "data").resolve())
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # RunLogger warns of a lost W&B, once
    finish_wandb(0)  # a page that is open: the new run would silently continue it
    return mode


def wandb_id(run: Path) -> str:
    """The id of the W&B run: the run's own, or the one that a sweep's agent gives.

    The agent's is kept in the folder, for when the run is continued without the agent.
    """
    kept = run / "wandb_id"
    if "WANDB_SWEEP_ID" in os.environ and "WANDB_RUN_ID" in os.environ and not kept.exists():
        replace_text(kept, checked_id(os.environ["WANDB_RUN_ID"], Path("WANDB_RUN_ID")))
    return checked_id(kept.read_text(encoding="utf-8"), kept) if kept.exists() else run_id(run)


def finish_wandb(exit_code: int, loggers: Sequence[Any] = ()) -> None:
    """Ends the W&B run, if there is one, as W&B shows it; a failure is a warning, not an error.

    Arguments:
        exit_code: Of the process.
        loggers: The run's. After one that has warned that W&B was lost, there is no other warning.
    """
    if (wandb := sys.modules.get("wandb")) is None:  # then no page is open
        return
    lost = any(getattr(logger, "lost", False) for logger in loggers)
    if wandb.run is not None:
        try:
            wandb.finish(exit_code=exit_code)
        except Exception as error:
            if not lost:
                print(f"warning: W&B did not end well ({error})", file=sys.stderr)
            lost = True
    if lost or exit_code:
        with suppress(Exception):  # else W&B reports a dead process of its own at exit
            wandb.teardown(exit_code)
