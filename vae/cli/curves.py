"""Draws learning curves, of runs that differ only in their seed as their mean with a band."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from vae.cli.next_step import about
from vae.cli.parser import ScriptParser
from vae.cli.picture import at_least, write
from vae.run.checkpoint import newest_run
from vae.run.files import writable


def curves(
    runs: list[str] | None = None,
    metrics: list[str] | None = None,
    x: Literal["steps", "epochs", "seconds"] = "steps",
    x_scale: Literal["linear", "log"] = "linear",
    y_limits: list[float] | None = None,
    smooth: int = 1,
    output: str | None = None,
) -> Path:
    """Draws what runs have logged in ``metrics.jsonl``.

    Args:
        runs: Folders of runs, or of studies (vae seeds) and groups (vae train-many), which hold
            several; by default the newest run.
        metrics: Names of metrics, a panel each, as [val/elbo, val/rate]; by default val/elbo.
        x: What they are drawn over; seconds are those since the run's start.
        x_scale: linear or log.
        y_limits: The lowest and the highest value to show, as [-120, -90].
        smooth: So many values of each run, up to each, are averaged, as 20 of train/elbo.
        output: The picture to write, a .png or a .pdf; by default images/curves.png in the run's
            folder; of several runs, curves.png in the folder that holds them.
    """
    from vae.pictures.curves import curve, draw
    from vae.pictures.style import picture_file
    from vae.run.history import by_configuration, histories, metrics_of

    if y_limits is not None and (len(y_limits) != 2 or not y_limits[0] < y_limits[1]):
        raise ValueError(f"y_limits takes a lower and a higher number, got {y_limits}")
    at_least(1, smooth=smooth)
    paths = [Path(run).expanduser() for run in runs or [str(newest_run())]]
    found = histories(paths)
    about(*paths)
    target = writable(picture_file(Path(output).expanduser() if output else _place(paths)))
    names = metrics_of(found)
    metrics = ["val/elbo"] if metrics is None else metrics
    if lacking := [name for name in metrics if name not in names]:
        said = ", ".join(names) or "nothing"
        raise ValueError(f"metrics: none of the runs has logged {lacking[0]}; they have {said}")
    if not metrics:
        raise ValueError("metrics is empty: name one, as [val/elbo]")
    groups = by_configuration(found)
    drawn = {
        metric: {
            group.label: curve([run.rows for run in group.runs], metric, x, smooth)
            for group in groups
            if all(any(metric in row for row in run.rows) for run in group.runs)
        }
        for metric in metrics
    }
    if empty := [metric for metric, own in drawn.items() if not any(c.x for c in own.values())]:
        raise ValueError(f"metrics: there is no step at which all seeds have logged {empty[0]}")
    for label, found_curve in next(iter(drawn.values())).items():
        if found_curve.cut is not None:
            print(f"{label}: up to step {found_curve.cut}, where the shortest of its runs is")
    figure = draw(drawn, x, x_scale, y_limits)
    lines = (
        f"{len(groups)} line{'s' * (len(groups) > 1)} of {len(found)} run{'s' * (len(found) > 1)}"
    )
    write(figure, target, lines, "curves", found[0].run if len(found) == 1 else None)
    return target


def _place(paths: list[Path]) -> Path:
    """Where the picture goes by default."""
    if len(paths) == 1:
        (path,) = paths
        single = (path / "metrics.jsonl").is_file()
        return path / "images" / "curves.png" if single else path / "curves.png"
    return Path(os.path.commonpath([path.absolute().parent for path in paths])) / "curves.png"


def main(words: list[str], program: str) -> None:
    parser = ScriptParser(prog=program, description=sys.modules[__name__].__doc__)
    parser.add_argument(
        "runs", nargs="*", help="folders of runs, or of studies; by default the newest run"
    )
    parser.add_function_arguments(curves, skip={"runs"})
    curves(**vars(parser.parse_args(words)))
