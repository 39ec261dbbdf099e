"""The tables of a report: what evaluations, the closing test and the gradient report have found."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from vae.evaluation.words import in_words, labels_of
from vae.pages.inline import svg
from vae.pages.report.contents import Contents
from vae.pages.report.headline import name_in_words, tested_in_words
from vae.pages.report.markup import (
    Cell,
    Section,
    code,
    command,
    note,
    number,
    paragraph,
    table,
)

__all__ = ["evaluations", "gradient_report"]

HEAD = ("", "value>", "unit", "what it is", "images>", "with")


def evaluations(found: Contents) -> Section:
    """Every number of every evaluation, with its labels and its warning."""
    parts = [_one(name, content) for name, content in found.evaluations.items()]
    if not parts:
        more = command("evaluate", found.run, "--all")
        parts.append(note("Nothing was evaluated after training yet", more))
    if tested := (found.results or {}).get("metrics"):
        rows = [
            [name, number(tested_in_words(found.results or {}, name), value), name_in_words(name)]
            for name, value in tested.items()
        ]
        parts.append(
            "<h3>The test at the run's end</h3>"
            + table(("", "nats an image>", ""), rows, "The test's numbers")
            + _of_images(found.results or {})
        )
    return Section("evaluation", "Evaluation", "\n".join(parts))


def _of_images(results: Mapping[str, Any]) -> str:
    """What the test's numbers are of; older results do not say how many images."""
    images = f"{results['images']:,} test images" if "images" in results else "all test images"
    error = "; ± one standard error over images" if results.get("standard_errors") else ""
    pixels = results.get("binarization")
    return note(f"Of {images}{f', {pixels} binarisation' if pixels else ''}{error}.")


def _one(name: str, content: Mapping[str, Any]) -> str:
    rows, warnings = [], []
    for metric, row in content["metrics"].items():
        images = f"{row['images']:,}" + (f" of {row['asked']:,}" if "asked" in row else "")
        marked = Cell(
            html.escape(metric) + (' <b class="warning">!</b>' if row.get("warning") else "")
        )
        value = number(in_words(row), row["mean"])
        labels = ", ".join(labels_of(row))
        bound, unit = str(row.get("bound", "")), str(row.get("unit", "nats"))
        brief = [Cell(html.escape(text), "brief") for text in (unit, bound)]
        rows.append([marked, value, *brief, number(images), Cell(html.escape(labels), "wide")])
        if row.get("warning"):
            warnings.append(
                f"<li><b>{html.escape(metric)}</b>: {html.escape(str(row['warning']))}</li>"
            )
    remarks = [line for part in (content.get("remarks") or {}).values() for line in part]
    said = "".join(f"<li>{html.escape(str(line))}</li>" for line in dict.fromkeys(remarks))
    step = content.get("step")
    about = f"{name}: {content.get('split', '')} images"
    about += f", seed {content.get('seed')}, of the checkpoint at step {step:,}" if step else ""
    commands = "".join(f"<p>{code(str(one))}</p>" for one in content.get("commands") or [])
    return (
        f"<h3>{html.escape(about)}</h3>"
        + table(HEAD, rows, about)
        + (f'<ul class="warning">{"".join(warnings)}</ul>' if warnings else "")
        + (f"<ul>{said}</ul>" if said else "")
        + (f"<details><summary>How it was made</summary>{commands}</details>" if commands else "")
    )


def gradient_report(found: Contents) -> Section:
    """The gradient report's picture and its table, or the command that makes one."""
    title, name = "Gradient estimators", "gradients"
    if found.gradients is None:
        return Section(
            name, title, note("There is no gradient report yet", command("gradients", found.run))
        )
    from vae.analysis.gradient_words import COLUMNS, NOTES, in_digits, titles
    from vae.pictures.gradients import draw, ordered

    rows = found.gradients["rows"]
    head, how = titles(found.gradients)
    picture = svg(draw(rows, head, how), "gradients-figure", head)
    cells = [
        [str(row["label"]), "yes" if row["bias"] is None else "no"]
        + [number(in_digits(row[key]), row[key]) for key in list(COLUMNS)[1:]]
        for row in ordered(rows)
    ]
    columns = [f"{one}>" for one in list(COLUMNS.values())[1:]]
    shown = table(["estimator", "unbiased", *columns], cells, head)
    lines = "".join(paragraph(line.strip()) for line in NOTES.split("\n")[1:])
    more = f"<details><summary>All numbers, and what they are</summary>{shown}{lines}{code(str(found.gradients.get('command', '')))}</details>"
    return Section(name, title, f"<figure>{picture}</figure>{more}")
