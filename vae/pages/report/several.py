"""The report of several runs, or of a study: side by side what they have reached and differ in."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vae.evaluation.words import in_words
from vae.pages.page import asset, page
from vae.pages.report.about import option_in_words
from vae.pages.report.contents import Contents, contents
from vae.pages.report.curves import curves
from vae.pages.report.headline import name_in_words
from vae.pages.report.markup import (
    Cell,
    Section,
    code,
    figures,
    note,
    number,
    paragraph,
    render,
    safe,
    table,
)
from vae.run.files import read_json
from vae.run.history import Configuration, History, by_configuration
from vae.run.seed_statistics import summed_up

__all__ = ["several"]

MOST_SAMPLED = 12
"""Configurations whose samples are shown."""


def several(paths: Sequence[Path], runs: Sequence[History]) -> str:
    """The page of several runs.

    Arguments:
        paths: The folders that were named.
        runs: What the runs in them have logged.
    """
    groups = _first_as_in_study(by_configuration(runs), paths)
    found = {run.run: contents(run.run) for group in groups for run in group.runs}
    title = paths[0].resolve().name if len(paths) == 1 else f"{len(runs)} runs"
    lead = paragraph(
        f"{len(runs)} run{'s' * (len(runs) > 1)} of {len(groups)}"
        f" configuration{'s' * (len(groups) > 1)}."
    )
    lead += "".join(note(line) for one in found.values() for line in one.damaged)
    sections = [
        safe("results", lambda: _comparison(groups, found)),
        safe("curves", lambda: curves(groups)),
        _samples(groups),
        safe("evaluation", lambda: _evaluations(groups, found)),
        safe("differences", lambda: _differences(groups)),
        safe("runs", lambda: _runs(groups, found)),
    ]
    return page(title, render(lead, sections), asset("report/report.css"))


def _first_as_in_study(groups: list[Configuration], paths: Sequence[Path]) -> list[Configuration]:
    """In the order of the study's summary, the first of which is what others are compared with."""
    order: list[str] = []
    for path in paths:
        if (path / "summary.json").is_file():
            order += list(read_json(path / "summary.json", variants=dict)["variants"])
    places = {label: place for place, label in enumerate(dict.fromkeys(order))}
    return sorted(groups, key=lambda group: places.get(group.label, len(places)))


def _by_seed(group: Configuration, found: Mapping[Path, Contents]) -> dict[int, dict[str, float]]:
    """The results of a configuration by seed; those of one that was trained twice are the last."""
    results: dict[int, dict[str, float]] = {}
    for run in group.runs:
        one = found[run.run]
        seed = one.record.get("seed")
        if one.results and not one.results.get("diverged") and isinstance(seed, int):
            results[seed] = one.results["metrics"]
    return results


def _comparison(groups: Sequence[Configuration], found: Mapping[Path, Contents]) -> Section:
    """What the closing tests have found: means over seeds, and differences paired by seed."""
    title = "Results"
    results = {group.label: _by_seed(group, found) for group in groups}
    seeds = sorted({seed for own in results.values() for seed in own})
    metrics = list(dict.fromkeys(m for own in results.values() for r in own.values() for m in r))
    without = [group.label for group in groups if not results[group.label]]
    lines = [note(f"Without results: {', '.join(without)}.")] if without else []
    if not metrics:
        return Section("results", title, "".join(lines) or note("No run has results yet."))
    sums = {
        metric: summed_up({
            label: [own[s].get(metric) if s in own else None for s in seeds]
            for label, own in results.items()
        })
        for metric in metrics
    }  # fmt: skip
    first = groups[0].label
    compared = any("difference" in row for row in sums[metrics[0]].values())
    head = ["", "seeds>", *(f"{name_in_words(metric, True)}>" for metric in metrics)]
    if compared:
        head.append(f"{name_in_words(metrics[0])} minus that of {first}, by seed>")
    rows: list[list[str | Cell]] = []
    for label, own in results.items():
        cells: list[str | Cell] = [label, number(str(len(own)))]
        cells += [_cell(sums[metric][label]) for metric in metrics]
        if compared:
            cells.append(_cell(sums[metrics[0]][label].get("difference"), sign=True))
        rows.append(cells)
    about = (
        "Of the test at each run's end, in nats an image; mean ± one standard error over seeds."
    )
    below = note(about) + _pixels(groups, found) + "".join(lines)
    return Section("results", title, table(head, rows, about) + below)


def _pixels(groups: Sequence[Configuration], found: Mapping[Path, Contents]) -> str:
    """What the images are; a warning where they are not the same for all."""
    runs = [run for group in groups for run in group.runs if found[run.run].results]
    pixels = {str((found[run.run].results or {}).get("binarization") or "none") for run in runs}
    data = {str(run.options.get("data.class_path")).rpartition(".")[2] for run in runs}
    said = f"{' and '.join(sorted(data))}, binarisation: {' and '.join(sorted(pixels))}."
    if len(pixels) == len(data) == 1:
        return note(said)
    return f'<p class="warning">Bounds of different images do not compare: {html.escape(said)}</p>'


def _cell(row: Mapping[str, Any] | None, sign: bool = False) -> Cell:
    if not row or row.get("mean") is None:
        return number("-")
    error = "" if row["se"] is None else f" ± {row['se']:.2f}"
    return number(f"{row['mean']:{'+' if sign else ''}.2f}{error}", row["mean"])


def _samples(groups: Sequence[Configuration]) -> Section:
    """Samples of the first run of each configuration."""
    from vae.pages.inline import image
    from vae.pages.report.pictures import attempt, samples
    from vae.pages.report.subject import read_model

    shown, missing = {}, []
    for group in groups[:MOST_SAMPLED]:
        run = group.runs[0].run
        subject = read_model(run)
        picture = attempt("samples", partial(samples, subject, 40), subject)
        if picture.png is None:
            missing.append(note(f"{group.label}: {picture.why}"))
        else:
            shown[f"{group.label} ({run.name})"] = image(picture.png, f"Samples of {group.label}")
    if len(groups) > MOST_SAMPLED:
        missing.append(
            note(f"Those of {len(groups) - MOST_SAMPLED} more are in their own reports.")
        )
    return Section("samples", "Samples of the prior", figures(shown) + "".join(missing))


def _evaluations(groups: Sequence[Configuration], found: Mapping[Path, Contents]) -> Section:
    """What each run's evaluation of all test images says of log p(x)."""
    title, name = "Evaluations", "evaluation-test.json"
    runs = [found[run.run] for group in groups for run in group.runs]
    labels = {g.runs[0].run: g.label for g in groups if len(g.runs) == 1}
    own = {
        labels.get(one.run, one.name): one.evaluations[name]["metrics"]
        for one in runs
        if name in one.evaluations
    }
    if not own:
        return Section(
            "evaluation",
            title,
            note("No run was evaluated after training yet", "vae evaluate RUN"),
        )
    every = dict.fromkeys(metric for rows in own.values() for metric in rows)
    shown = [
        m
        for m in every
        if m in ("elbo", "rate", "rate_mc", "distortion") or m.startswith("log_likelihood")
    ]
    head = ["", *(f"{name_in_words(metric, True)}>" for metric in shown), "images>"]
    cells = [
        [label]
        + [number(in_words(rows[m]), rows[m]["mean"]) if m in rows else number("-") for m in shown]
        + [number(f"{max(rows[m]['images'] for m in shown if m in rows):,}")]
        for label, rows in own.items()
        if any(m in rows for m in shown)
    ]
    about = "± one standard error over images; nats an image, of hard latents; warnings are in each run's own report."
    return Section("evaluation", title, table(head, cells, about) + note(about))


def _differences(groups: Sequence[Configuration]) -> Section:
    """The options in which the configurations differ."""
    title = "What differs"
    if len(groups) == 1:
        return Section(
            "differences", title, note("All runs have the same configuration, but for the seed.")
        )
    keys = dict.fromkeys(key for group in groups for key in group.runs[0].options)
    said = {
        key.replace(".init_args", "").removesuffix(".class_path"): [
            option_in_words(group.runs[0].options[key]) if key in group.runs[0].options else "-"
            for group in groups
        ]
        for key in keys
    }
    rows: list[list[str | Cell]] = [
        [key, *(Cell(code(v)) for v in values)]
        for key, values in said.items()
        if len(set(values)) > 1
    ]
    head = ["option", *(group.label for group in groups)]
    return Section(
        "differences", title, table(head, rows, "Options that differ between configurations")
    )


def _runs(groups: Sequence[Configuration], found: Mapping[Path, Contents]) -> Section:
    """Where each run's numbers come from."""
    rows: list[list[str | Cell]] = []
    for group in groups:
        for run in group.runs:
            one = found[run.run]
            results, record = one.results or {}, one.record
            git = str(record.get("git") or "-")[:10] + (" +" if record.get("git_dirty") else "")
            cells = [record.get("seed"), results.get("steps"), results.get("seconds")]
            rows.append([
                one.name,
                *(number("-" if value is None else f"{value:,}") for value in cells),
                Cell(code(git)),
                str(record.get("torch", "-")),
                str(record.get("hardware", "-")),
            ])  # fmt: skip
    head = ("run", "seed>", "steps>", "seconds>", "git (+: changed)", "torch", "hardware")
    return Section("runs", "Runs", table(head, rows, "The runs, and where they were trained"))
