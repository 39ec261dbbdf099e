"""What several runs have reached, side by side: a table for the bounds of each kind of images."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vae.evaluation.words import in_words
from vae.pages.report.contents import Contents
from vae.pages.report.headline import name_in_words, tested_in_words
from vae.pages.report.markup import Cell, Section, note, number, table
from vae.run.history import Configuration
from vae.run.seed_statistics import summed_up

__all__ = ["evaluations", "results"]

BOUNDS = ("elbo", "rate", "rate_mc", "distortion")

APART = "Bounds of different images, or under other likelihoods, do not compare: a table each."

Kinds = Mapping[str, Sequence[Configuration]]


def results(kinds: Kinds, found: Mapping[Path, Contents]) -> Section:
    """What the closing tests have found: means over seeds, and differences paired by seed."""
    title, tables, lines = "Results", [], []
    for what, groups in kinds.items():
        own = {group.label: _by_seed(group, found) for group in groups}
        if without := [label for label, one in own.items() if not one]:
            lines.append(note(f"Without results: {', '.join(without)}."))
        if known := {label: one for label, one in own.items() if one}:
            tables.append(f"<h3>{html.escape(what)}</h3>{_compared(known, what)}")
        runs = [found[run.run] for group in groups for run in group.runs]
        if diverged := [one.name for one in runs if (one.results or {}).get("diverged")]:
            lines.append(note(f"Diverged, and in no mean: {', '.join(diverged)}."))
    if not tables:
        return Section("results", title, "".join(lines) or note("No run has results yet."))
    warning = f'<p class="warning">{APART}</p>' * (len(tables) > 1)
    about = note(
        "Of the test at each run's end, in nats an image. ± one standard error: over seeds in a table"
        " that has several of one configuration, else over images, where results.json has it."
    )
    return Section("results", title, warning + "".join(tables) + about + "".join(lines))


def _by_seed(group: Configuration, found: Mapping[Path, Contents]) -> dict[str, dict[str, Any]]:
    """The results of a configuration by seed; those of one that was trained twice are the last."""
    own: dict[str, dict[str, Any]] = {}
    for run in group.runs:
        one = found[run.run]
        if one.results and one.results["metrics"] and not one.results.get("diverged"):
            own[str(one.record.get("seed", one.name))] = one.results
    return own


def _compared(known: Mapping[str, Mapping[str, Mapping[str, Any]]], what: str) -> str:
    """The table of configurations, by label and seed, whose numbers compare."""
    every = [results for own in known.values() for results in own.values()]
    seeds = list(dict.fromkeys(seed for own in known.values() for seed in own))
    metrics = list(dict.fromkeys(metric for one in every for metric in one["metrics"]))
    sums = {
        metric: summed_up({
            label: [own[s]["metrics"].get(metric) if s in own else None for s in seeds]
            for label, own in known.items()
        })
        for metric in metrics
    }  # fmt: skip
    several = any(len(own) > 1 for own in known.values())
    compared = any("difference" in row for row in sums[metrics[0]].values())
    head = ["", "seeds>", *(f"{name_in_words(metric, True)}>" for metric in metrics)]
    if compared:
        head.append(f"{name_in_words(metrics[0])} minus that of {next(iter(known))}, by seed>")
    rows: list[list[str | Cell]] = []
    for label, own in known.items():
        cells: list[str | Cell] = [label, number(str(len(own)))]
        for metric in metrics:
            single = None if several else next(iter(own.values()))
            cells.append(_cell(sums[metric][label]) if several else _tested(single, metric))
        if compared:
            cells.append(_cell(sums[metrics[0]][label].get("difference"), sign=True))
        rows.append(cells)
    return table(head, rows, f"Results: {what}")


def _cell(row: Mapping[str, Any] | None, sign: bool = False) -> Cell:
    if not row or row.get("mean") is None:
        return number("-")
    error = "" if row["se"] is None else f" ± {row['se']:.2f}"
    return number(f"{row['mean']:{'+' if sign else ''}.2f}{error}", row["mean"])


def _tested(one: Mapping[str, Any] | None, metric: str) -> Cell:
    if one is None or metric not in one["metrics"]:
        return number("-")
    return number(tested_in_words(one, metric), one["metrics"][metric])


def evaluations(kinds: Kinds, found: Mapping[Path, Contents]) -> Section:
    """What each run's evaluation of test images says of log p(x)."""
    title, name = "Evaluations", "evaluation-test.json"
    tables = []
    for what, groups in kinds.items():
        labels = {g.runs[0].run: g.label for g in groups if len(g.runs) == 1}
        own = {
            labels.get(run.run, found[run.run].name): found[run.run].evaluations[name]["metrics"]
            for group in groups
            for run in group.runs
            if name in found[run.run].evaluations
        }
        if own:
            tables.append(f"<h3>{html.escape(what)}</h3>{_evaluated(own, what)}")
    if not tables:
        missing = note("No run was evaluated after training yet", "vae evaluate RUN")
        return Section("evaluation", title, missing)
    about = "± one standard error over images; nats an image, of hard latents; warnings are in each run's own report."
    return Section("evaluation", title, "".join(tables) + note(about))


def _evaluated(own: Mapping[str, Mapping[str, Any]], what: str) -> str:
    """The table of evaluations, by label, whose numbers compare."""
    every = dict.fromkeys(metric for rows in own.values() for metric in rows)
    shown = [m for m in every if m in BOUNDS or m.startswith("log_likelihood")]
    head = ["", *(f"{name_in_words(metric, True)}>" for metric in shown), "images>"]
    cells: list[list[str | Cell]] = []
    for label, rows in own.items():
        if not (images := [rows[m]["images"] for m in shown if m in rows]):
            continue
        numbers = [_of_images(rows.get(metric), max(images)) for metric in shown]
        cells.append([label, *numbers, number(f"{max(images):,}")])
    return table(head, cells, f"Evaluations: {what}")


def _of_images(row: Mapping[str, Any] | None, images: int) -> Cell:
    """A number; of fewer images than the others of its line, with their number."""
    if row is None:
        return number("-")
    fewer = f" ({row['images']:,} images)" if row["images"] != images else ""
    return number(in_words(row) + fewer, row["mean"])
