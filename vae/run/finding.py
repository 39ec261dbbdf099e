"""Finds all runs, and moves a run's old results aside before it is trained on."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from vae.run.folder import runs_dir
from vae.run.lock import record_of

__all__ = ["find_runs", "group_of", "is_group", "set_aside"]


MADE = [
    "results.json",
    "evaluation-*",
    "gradients.*",
    "explorer.html",
    "decoder.onnx",
    "encoder.onnx",
    "report.html",
    "images/reconstructions.png",
    "images/samples.png",
    *(
        f"images/{name}.{suffix}"
        for name in (
            "interpolate",
            "traverse",
            "latent-map",
            "code-usage",
            "kl",
            "rate-distortion",
            "curves",
        )
        for suffix in ("png", "pdf")
    ),
]
"""Files made from a run's checkpoints, which are out of date once the run is continued."""


def find_runs(groups: bool = False) -> list[Path]:
    """All runs that have a checkpoint, the latest at the end; those of studies too.

    Arguments:
        groups: Whether groups of models trained at once are among them, in place of the models'
            own runs: what can be continued, and not what can be evaluated.
    """
    found = {
        path.parent.parent
        for pattern in ("*/checkpoints/*.ckpt", "*/*/checkpoints/*.ckpt")
        for path in runs_dir().glob(pattern)
    }
    if groups:
        found = {run for run in found if group_of(run) is None}
    else:
        found = {run for run in found if not is_group(run)}
    return sorted(found, key=_started)


def is_group(run: Path) -> bool:
    """Whether a folder is that of several models that are trained at once."""
    return "runs" in record_of(run / "run.json")


def group_of(run: Path) -> Path | None:
    """The folder of the group that a run's model is trained with; None if it is trained alone."""
    name = record_of(run / "run.json").get("group_run")
    return run.resolve().parent / name if isinstance(name, str) else None


def _started(run: Path) -> tuple[float, str]:
    """When a run was started, in seconds; the folder may have been moved or renamed."""
    try:
        text = record_of(run / "run.json")["started"]
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp(), run.name
    except (KeyError, TypeError, ValueError, OverflowError):
        return (run / "checkpoints").stat().st_mtime, run.name


def set_aside(run: Path, step: int) -> Path | None:
    """Moves what was computed from a run's checkpoints into ``superseded/step-STEP``.

    Arguments:
        run: The run's folder.
        step: The step from which it is trained on.

    Returns:
        The folder that they are in now; None if there was nothing.
    """
    made = sorted({path for pattern in MADE for path in run.glob(pattern)})
    if not made:
        return None
    folder, number = run / "superseded" / f"step-{step}", 1
    while folder.exists():
        number += 1
        folder = folder.with_name(f"step-{step}-{number}")
    for path in made:
        target = folder / path.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    return folder
