"""Finds, reads and checks the state from which a run is continued."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vae.models.checkpoint import has_parts, read_checkpoint
from vae.models.files import PREVIOUS
from vae.run.checkpoint import find_checkpoint
from vae.run.here import vae_here
from vae.run.shipped import assert_not_shipped

__all__ = ["can_go_on", "find_last", "how_to_go_on"]


RUN_STATE = {
    "callbacks": dict,
    "epoch": int,
    "global_step": int,
    "loops": dict,
    "lr_schedulers": list,
    "optimizer_states": list,
}
"""What a checkpoint must hold for a run to be continued, besides its model."""


def find_last(path: str | Path) -> tuple[Path, dict[str, Any]]:
    """Finds the checkpoint to continue from, and reads it.

    Of a run's folder it is ``last.ckpt``; where that is damaged, the one before it, and a line says
    so.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If none can be read.
    """
    path = Path(path).expanduser()
    assert_not_shipped(path)
    if not path.is_dir():
        path = find_checkpoint(path)
        return path, _read_run_state(path)
    found = _lasts(path)
    if not found:
        raise FileNotFoundError(
            f"{path} holds no checkpoints/last.ckpt: nothing was trained there yet, start it anew"
        )
    try:
        return found[0], _read_run_state(found[0])
    except ValueError as error:
        if len(found) == 1:
            raise
        contents = _read_run_state(found[1])
        print(f"{error}; continuing from {PREVIOUS}, the one before it", file=sys.stderr)
        return found[1], contents


def _lasts(run: Path) -> list[Path]:
    """The checkpoints that a run can be continued from, the best first."""
    found = [run / "checkpoints" / name for name in ("last.ckpt", PREVIOUS)]
    return [file for file in found if file.exists()]


def can_go_on(run: Path) -> bool:
    """Whether a run has a checkpoint, that can be read, to continue from."""
    for path in _lasts(run):
        try:
            _read_run_state(path)
            return True
        except (OSError, ValueError):
            continue
    return False


def how_to_go_on(run: Path) -> str:
    """What to tell the user to do about a run that was cut short."""
    if can_go_on(run):
        return f"continue: {vae_here()} resume {shlex.quote(str(run))}"
    return "start it anew: there is no checkpoint to continue from yet"


def _read_run_state(path: Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    if not has_parts(checkpoint, RUN_STATE) or not has_parts(
        checkpoint["vae"], {"generators": dict}
    ):
        raise ValueError(
            f"{path} holds a model, but not the state of a run: continue from a run's last.ckpt"
        )
    for name in _strange(checkpoint):
        raise ValueError(f"{path} holds no {name} that a run can go on from: it is damaged")
    return checkpoint


def _strange(checkpoint: Mapping[str, Any]) -> list[str]:
    """The parts of a run's state that no run could have written."""
    own, optimizers = checkpoint["vae"], checkpoint["optimizer_states"]
    rows, validated, random = own.get("rows"), own.get("validated") or {}, own["generators"]
    parts = {"state": dict, "param_groups": list}
    sound = {
        "number of rows": rows is None or (isinstance(rows, int) and rows >= 0),
        "validation": isinstance(validated, dict)
        and all(isinstance(value, (int, float)) for value in validated.values()),
        "random state": all(
            isinstance(state, torch.Tensor) and state.dtype == torch.uint8
            for state in random.values()
        ),
        "optimiser": len(optimizers) == 1
        and isinstance(optimizers[0], dict)
        and has_parts(optimizers[0], parts),
        "number of steps": 0 <= checkpoint["global_step"] < 2**63,
    }
    return [name for name, fine in sound.items() if not fine]
