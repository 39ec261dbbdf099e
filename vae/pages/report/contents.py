"""What a run's folder holds: everything that a report shows without the model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from vae.run.files import read_json
from vae.run.finding import is_group
from vae.run.history import LOG, History, assert_run, history
from vae.run.lock import is_running
from vae.run.plain_yaml import read_yaml

__all__ = ["Contents", "contents", "is_run"]


class Contents(NamedTuple):
    """A run's files, as far as they are there and whole.

    Attributes:
        run: The folder.
        record: ``run.json``.
        config: ``config.yaml``.
        results: ``results.json``; None of a run without results.
        evaluations: ``evaluation-*.json`` by file name, those of all test images first.
        gradients: ``gradients.json``.
        history: What it has logged.
        damaged: A line for each file that cannot be read.
        running: Whether it is being trained now.
    """

    run: Path
    record: dict[str, Any]
    config: dict[str, Any]
    results: dict[str, Any] | None
    evaluations: dict[str, dict[str, Any]]
    gradients: dict[str, Any] | None
    history: History | None
    damaged: list[str]
    running: bool

    @property
    def name(self) -> str:
        """The run's id."""
        found = self.record.get("id")
        return found if isinstance(found, str) else self.run.resolve().name


def is_run(path: Path) -> bool:
    """Whether a folder is one run's, not that of several."""
    own = any((path / name).exists() for name in ("run.json", "config.yaml", "checkpoints", LOG))
    return own and not is_group(path)


def contents(run: Path) -> Contents:
    """Reads a run's folder.

    Raises:
        FileNotFoundError: If it is none.
        ValueError: If it is a checkpoint.
    """
    assert_run(run)
    if not run.is_dir() or not is_run(run):
        raise FileNotFoundError(f"{run} is no run's folder, and holds no runs")
    damaged: list[str] = []

    def read(name: str, **parts: Any) -> dict[str, Any] | None:
        try:
            return read_json(run / name, **parts) if (run / name).is_file() else None
        except (OSError, ValueError) as error:
            damaged.append(str(error))
            return None

    try:
        config = read_yaml(run / "config.yaml") if (run / "config.yaml").is_file() else {}
    except (OSError, ValueError) as error:
        config = {}
        damaged.append(str(error))
    logged = history(run, config) if (run / LOG).is_file() else None
    if logged and logged.damaged:
        rows = f"{logged.damaged} row{'s' * (logged.damaged != 1)}"
        damaged.append(f"{run / LOG}: {rows} of it cannot be read, and left out")
    found = {p.name: read(p.name, metrics=dict) for p in sorted(run.glob("evaluation-*.json"))}
    evaluations = {name: content for name, content in found.items() if content is not None}
    first = sorted(evaluations, key=lambda name: (name != "evaluation-test.json", name))
    return Contents(
        run,
        read("run.json") or {},
        config,
        _results(read("results.json", metrics=dict)),
        {name: evaluations[name] for name in first},
        read("gradients.json", rows=list),
        logged,
        damaged,
        is_running(run),
    )


def _results(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Results whose metrics are numbers: None is one that is not finite."""
    if found is None:
        return None
    own = {k: v for k, v in found["metrics"].items() if v is None or isinstance(v, (int, float))}
    finite = {k: None if v is None or not math.isfinite(v) else v for k, v in own.items()}
    return found | {"metrics": finite}
