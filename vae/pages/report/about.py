"""What a run was: its configuration, what was chosen first, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from vae.pages.report.contents import Contents
from vae.pages.report.markup import Cell, Section, code, note, table
from vae.run.defaults import changed

__all__ = ["configuration", "in_short", "option_in_words", "provenance"]


def in_short(found: Contents) -> str:
    """A line on what was trained, on what, and for how long."""
    parts = []
    for name in ("model", "data"):
        part = found.config.get(name)
        if isinstance(part, Mapping) and isinstance(part.get("class_path"), str):
            parts.append(part["class_path"].rpartition(".")[2].removesuffix("DataModule"))
    results, seed = found.results or {}, found.record.get("seed")
    said = [" on ".join(parts)] if parts else []
    said += [_epochs(results)] if results.get("epochs") is not None else []
    said += [f"seed {seed}"] if seed is not None else []
    return ", ".join(said)


def option_in_words(value: Any) -> str:
    """An option's value on one line; a class by its name, with its own options."""
    if isinstance(value, Mapping) and isinstance(value.get("class_path"), str):
        own = value.get("init_args") or {}
        name = value["class_path"].rpartition(".")[2]
        inner = ", ".join(f"{k} {option_in_words(v)}" for k, v in own.items() if v is not None)
        return f"{name}({inner})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {option_in_words(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(option_in_words, value)) + "]"
    return "default" if value is None else str(value)


def configuration(found: Contents) -> Section:
    """What differs from the defaults; the whole is folded."""
    title = "Configuration"
    if not found.config:
        return Section("configuration", title, note("config.yaml is not there."))
    rows: list[list[str | Cell]] = [
        [name, Cell(code(option_in_words(value)))] for name, value in changed(found.config).items()
    ]
    whole = yaml.safe_dump(found.config, sort_keys=False)
    shown = (
        note("What differs from the defaults of its classes and of vae fit.")
        + table(("option", "value"), rows, "Options that differ from the defaults")
        + f"<details><summary>All of config.yaml</summary><pre>{code(whole)}</pre></details>"
    )
    return Section("configuration", title, shown)


def provenance(found: Contents) -> Section:
    """The revision, versions, seed, command, hardware, date and duration of a run."""
    record, results = found.record, found.results or {}
    git = str(record.get("git") or "unknown")
    dirty = " with uncommitted changes" if record.get("git_dirty") else ""
    versions = ", ".join(
        f"{name} {record[name]}"
        for name in ("python", "torch", "lightning", "wandb")
        if record.get(name)
    )
    rows: dict[str, Any] = {
        "run": found.name,
        "command": record.get("command"),
        "seed": record.get("seed"),
        "git revision": git + dirty,
        "versions": versions or None,
        "hardware": record.get("hardware"),
        "started": record.get("started"),
        "continued": _times(record.get("continued")),
        "trained": _trained(results),
        "test": f"{results['test_seconds']} s" if "test_seconds" in results else None,
        "objective": results.get("objective"),
        "parameters": f"{results['parameters']:,}" if "parameters" in results else None,
    }
    known = {name: value for name, value in rows.items() if value is not None}
    coded = ("command", "git revision", "run")
    cells = [
        [name, Cell(code(str(value))) if name in coded else str(value)]
        for name, value in known.items()
    ]
    return Section(
        "provenance", "Provenance", table(("", ""), cells, "Where the numbers come from")
    )


def _epochs(results: Mapping[str, Any]) -> str:
    return f"{results['epochs']} epoch{'s' * (results['epochs'] != 1)}"


def _trained(results: Mapping[str, Any]) -> str | None:
    if "steps" not in results:
        return None
    return f"{_epochs(results)}, {results['steps']:,} steps, {results['seconds']} s"


def _times(continued: Any) -> str | None:
    if not continued:
        return None
    if not isinstance(continued, (list, int)):
        return str(continued)
    number = len(continued) if isinstance(continued, list) else continued
    return f"{number} time{'s' * (number != 1)}"
