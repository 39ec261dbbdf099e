"""What runs have logged: the rows of ``metrics.jsonl``, of runs that differ in their seed together."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from vae.run import shipped
from vae.run.files import lines_of
from vae.run.lock import record_of
from vae.run.plain_yaml import read_yaml

__all__ = [
    "Configuration",
    "History",
    "assert_run",
    "by_configuration",
    "histories",
    "history",
    "metrics_of",
]

LOG = "metrics.jsonl"

NOT_OF_A_MODEL = re.compile(
    r"seed_everything|name|group|tags|image_every|report|checkpoint_every.*|ckpt_path|weights_only|data\..*seed"
    r"|trainer\.(accelerator|strategy|devices|num_nodes|logger|enable_.*|default_root_dir|profiler|plugins)"
    r"|model\.init_args\.(test_samples|compile|capture)"
)
"""Options in which runs of one configuration may differ."""


class History(NamedTuple):
    """What one run has logged.

    Attributes:
        run: Its folder.
        name: Its name, without a seed.
        options: What it was trained with, without what may differ between seeds, by dotted names.
        rows: Names to finite numbers, each row with ``step``, ``epochs`` and ``seconds``.
        damaged: How many rows cannot be read, and are left out.
    """

    run: Path
    name: str
    options: dict[str, Any]
    rows: list[dict[str, float]]
    damaged: int = 0


class Configuration(NamedTuple):
    """The runs of one configuration.

    Attributes:
        label: Its name or, where several share it, the name with what differs.
        runs: One or several.
    """

    label: str
    runs: list[History]


def assert_run(path: Path) -> None:
    """Refuses what holds no history: a checkpoint by itself, or one that comes with the repository.

    Raises:
        ValueError: With what to name instead.
    """
    if name := shipped.named(path):
        raise ValueError(
            f"{path} comes trained, as weights alone, without what a run has logged; what works:"
            f" vae evaluate {name}, vae explore {name}, vae reconstruct {name}"
        )
    if path.is_file():
        run = path.parent.parent if path.parent.name == "checkpoints" else None
        instead = f": {run}" if run and (run / "run.json").is_file() else ""
        raise ValueError(f"{path} is a file: name a run's folder{instead}")


def histories(paths: Sequence[Path]) -> list[History]:
    """What runs have logged.

    Arguments:
        paths: Folders of runs, or of studies and of models trained at once, which hold several.

    Raises:
        FileNotFoundError: If one holds none.
        ValueError: If one is a checkpoint, or a configuration cannot be read.
    """
    runs: list[Path] = []
    for path in paths:
        path = path.expanduser()
        assert_run(path)
        if (path / LOG).is_file():
            found = [path]
        else:
            names = record_of(path / "run.json").get("runs")
            members = (
                [path.parent / str(name) for name in names] if isinstance(names, list) else []
            )
            found = sorted(f for f in (members or path.glob("*")) if (f / LOG).is_file())
        if not found:
            raise FileNotFoundError(f"{path} is no run's folder, and holds none with a {LOG}")
        runs += found
    configs = {run: run / "config.yaml" for run in runs}
    return [
        history(run, read_yaml(path) if path.is_file() else {}) for run, path in configs.items()
    ]


def history(run: Path, config: Mapping[str, Any]) -> History:
    """What one run has logged.

    Arguments:
        run: Its folder.
        config: What its ``config.yaml`` holds.
    """
    options = {k: v for k, v in _flat(config).items() if not NOT_OF_A_MODEL.fullmatch(k)}
    named = config.get("name")
    name = named if isinstance(named, str) else run.name
    rows: list[dict[str, float]] = []
    lines = lines_of(run / LOG)[0]
    for line in lines:
        try:
            row = json.loads(line)
            values = {k: float(v) for k, v in row.items() if v is not None}
            values["step"], values["time"]
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
            continue  # damaged
        rows.append({k: v for k, v in values.items() if math.isfinite(v)})
    timed, damaged = _timed(rows, _start(run, rows)), len(lines) - len(rows)
    return History(run, re.sub(r"-seed\d*$", "", name), options, timed, damaged)


def _start(run: Path, rows: list[dict[str, float]]) -> float:
    """When a run began, in seconds: as its record says or, failing that, at its first row."""
    first = rows[0]["time"] if rows else 0.0
    try:
        text = record_of(run / "run.json")["started"]
        return min(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp(), first)
    except (LookupError, TypeError, ValueError, OverflowError):
        return first


def _timed(rows: list[dict[str, float]], start: float) -> list[dict[str, float]]:
    """Adds to each row the epochs, with a fraction, and the seconds since the start."""
    # every row of an epoch has at most its steps behind it, the last one all of them
    steps = max(
        ((r["step"] + 1) / (r["epoch"] + 1) for r in rows if r.get("epoch", -1) >= 0), default=1.0
    )
    return [
        row | {"epochs": (row["step"] + 1) / steps, "seconds": row["time"] - start} for row in rows
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def metrics_of(runs: Sequence[History]) -> list[str]:
    """The names of what any of the runs has logged, without those of its place and time."""
    places = ("step", "time", "epoch", "epochs", "seconds")
    return sorted({name for run in runs for row in run.rows for name in row} - {*places})


def by_configuration(runs: Sequence[History]) -> list[Configuration]:
    """The runs of each configuration together, each with a label that no other has."""
    groups: dict[tuple[str, str], list[History]] = {}
    for run in runs:
        key = json.dumps(run.options, sort_keys=True, default=str)
        groups.setdefault((run.name, key), []).append(run)
    named: dict[str, list[list[History]]] = {}
    for (name, _), members in groups.items():
        named.setdefault(name, []).append(members)
    return [
        Configuration(label, members)
        for name, found in named.items()
        for label, members in zip(_labels(name, found), found, strict=True)
    ]


def _labels(name: str, groups: list[list[History]]) -> list[str]:
    """The name alone, or with the options in which the groups differ."""
    if len(groups) == 1:
        return [name]
    options = [members[0].options for members in groups]
    keys = dict.fromkeys(key for own in options for key in own)
    varied = [k for k in keys if len({str(own.get(k)) for own in options}) > 1]
    labels = []
    for own in options:
        parts = [f"{k.rpartition('.')[2]} {own[k]}" for k in varied if k in own]
        labels.append(", ".join([name, *parts[:3]]))
    return labels
