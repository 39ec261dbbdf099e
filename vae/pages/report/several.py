"""The report of several runs, or of a study: side by side what they have reached and differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vae.pages.page import asset, page
from vae.pages.report.about import option_in_words
from vae.pages.report.alike import alike
from vae.pages.report.comparison import evaluations, results
from vae.pages.report.contents import Contents, contents
from vae.pages.report.curves import curves_of
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
    kinds = alike(groups, found)
    title = paths[0].resolve().name if len(paths) == 1 else f"{len(runs)} runs"
    lead = paragraph(
        f"{len(runs)} run{'s' * (len(runs) > 1)} of {len(groups)}"
        f" configuration{'s' * (len(groups) > 1)}."
    )
    lead += "".join(note(line) for one in found.values() for line in one.damaged)
    sections = [
        safe("results", lambda: results(kinds, found)),
        safe("curves", lambda: curves_of(kinds)),
        _samples(groups),
        safe("evaluation", lambda: evaluations(kinds, found)),
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
            _in_words(key, group.runs[0].options) for group in groups
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


def _in_words(key: str, options: Mapping[str, Any]) -> str:
    """An option of a run; of a class its name alone."""
    if key not in options:
        return "-"
    said = option_in_words(options[key])
    return said.rpartition(".")[2] if key.endswith("class_path") else said


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
