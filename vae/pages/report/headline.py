"""The numbers that a report begins with, each with what it is."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from vae.evaluation.words import in_words
from vae.pages.report.contents import Contents
from vae.pages.report.markup import command, data_value, note, paragraph

__all__ = ["headline", "name_in_words", "tested_in_words"]

NAMES = {
    "elbo": "ELBO",
    "rate": "rate, KL(q(z|x) || p(z))",
    "rate_mc": "rate, estimated from samples",
    "distortion": "distortion, E[-log p(x|z)]",
}
"""What a report calls the numbers of the bound."""


class Headline(NamedTuple):
    """A number in large letters.

    Attributes:
        name: What it is called.
        text: The number with its error.
        value: As its file has it; None of one that is not finite.
        unit: Of the number.
        about: What it is of.
        warning: What makes it doubtful.
    """

    name: str
    text: str
    value: float | None
    unit: str
    about: list[str]
    warning: str = ""

    @property
    def key(self) -> str:
        """The same for the numbers that a report has once: of bounds of many samples, the best."""
        return "K" if "K = " in self.name else self.name


def name_in_words(name: str, briefly: bool = False) -> str:
    """What a report calls a number: ``test/log_likelihood_100`` is log p(x) ≥, K = 100.

    Arguments:
        name: As a file has it.
        briefly: Without a formula, for the head of a column.
    """
    name = name.rpartition("/")[2]
    if found := re.fullmatch(r"log_likelihood_(\d+)", name):
        return f"log p(x) ≥, K = {int(found[1]):,}"
    said = NAMES.get(name, name)
    return said.partition(", KL")[0].partition(", E")[0] if briefly else said


def headline(found: Contents, bound: str | None) -> str:
    """The numbers in large letters, and a line for what is not known of them.

    Arguments:
        found: The run's folder.
        bound: What the ELBO of a test is, a lower bound or a cross-entropy; None if that is not
            known here.
    """
    shown, missing = [], []
    name, evaluation = next(iter(found.evaluations.items()), ("", {}))
    if evaluation:
        shown = _of_evaluation(evaluation)
    tested = (found.results or {}).get("metrics") or {}
    known = {one.key for one in shown}
    shown += [one for one in _of_test(found, tested, bound) if one.key not in known]
    if found.results is None and not (found.run / "results.json").exists():
        if shown_last := _of_validation(found):
            shown += [] if shown else [shown_last]
        missing.append(_unfinished(found))
    elif found.results is None:
        missing.append(note("results.json cannot be read: the test's numbers are not shown."))
    elif not tested and not evaluation:
        missing.append(note("The data have no test images: there is no result."))
    if any("±" in one.text for one in shown):
        missing.append(note(f"± one standard error over images ({name or 'results.json'})."))
    else:
        evaluate = command("evaluate", found.run)
        missing.append(note("Standard errors over images are not there yet", evaluate))
    if not any("K = " in one.name for one in shown):
        more = command("evaluate", found.run, "--log_likelihood 100")
        missing.append(note("log p(x) was not estimated", more))
    cards = "".join(_card(one) for one in shown)
    return f'<dl class="headline">{cards}</dl>' + "".join(missing)


def _card(one: Headline) -> str:
    warning = f'<p class="warning">{html.escape(one.warning)}</p>' if one.warning else ""
    return (
        f'<div class="panel"><dt>{html.escape(one.name)}</dt>'
        f"<dd><strong{data_value(one.value)}>{html.escape(one.text)}</strong>"
        f" <span>{html.escape(one.unit)}</span>"
        f"<small>{html.escape(', '.join(one.about))}</small>{warning}</dd></div>"
    )


def _of_evaluation(evaluation: Mapping[str, Any]) -> list[Headline]:
    rows = evaluation["metrics"]
    most = max((int(n[15:]) for n in rows if re.fullmatch(r"log_likelihood_\d+", n)), default=0)
    order = ["elbo", f"log_likelihood_{most}", "rate", "rate_mc", "distortion"]
    return [_labelled(name, rows[name], evaluation) for name in order if name in rows]


def _labelled(name: str, row: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Headline:
    about = [str(row["bound"])]
    if "samples" in row:
        about.append(f"{row['samples']} sample{'s' * (row['samples'] != 1)} of z")
    about.append(f"{row['images']:,} {evaluation.get('split', '')} images")
    if row.get("binarization"):
        about.append(f"{row['binarization']} binarisation")
    if "bits_a_dimension" in row:
        about.append(f"{row['bits_a_dimension']:.3f} bits a dimension")
    unit = "nats an image" if row["unit"] == "nats" else str(row["unit"])
    said = name_in_words(name)
    if row["bound"] == "cross-entropy" and name == "elbo":
        said = "negative cross-entropy - KL"
    return Headline(said, in_words(row), row["mean"], unit, about, str(row.get("warning", "")))


def _of_test(found: Contents, tested: Mapping[str, float], bound: str | None) -> list[Headline]:
    """What the test at the run's end has found."""
    bounds = {"rate": "exact", "rate_mc": "estimate", "distortion": "estimate"}
    results = found.results or {}
    binarization, images = results.get("binarization"), results.get("images")
    shown = []
    for name, value in tested.items():
        own = name.rpartition("/")[2]
        if own not in NAMES and not own.startswith("log_likelihood_"):
            continue
        about = [bounds.get(own) or bound or "lower bound, of binary pixels"]
        about.append(f"{images:,} test images" if images else "test images")
        if binarization:
            about.append(f"{binarization} binarisation")
        text = tested_in_words(results, name)
        shown.append(Headline(name_in_words(own), text, value, "nats an image", about))
    return sorted(shown, key=lambda one: (one.name != "ELBO", "K = " not in one.name))


def tested_in_words(results: Mapping[str, Any], name: str) -> str:
    """A number of the test at a run's end, with its standard error where ``results.json`` has one."""
    errors = results.get("standard_errors") or {}
    value = results["metrics"][name]
    if value is None:
        return "NaN"  # as JSON has it
    return in_words({"mean": value, "se": errors[name]}) if name in errors else f"{value:.2f}"


def _of_validation(found: Contents) -> Headline | None:
    rows = [row for row in found.history.rows if "val/elbo" in row] if found.history else []
    if not rows:
        return None
    value, step = rows[-1]["val/elbo"], int(rows[-1]["step"])
    about = ["lower bound, of binary pixels", "validation images", f"after step {step:,}"]
    return Headline("ELBO", f"{value:.2f}", value, "nats an image", about)


def _unfinished(found: Contents) -> str:
    if found.running:
        return paragraph("This run is being trained: it has no results yet.")
    steps = [row["step"] for row in found.history.rows] if found.history else []
    when = f"after step {int(max(steps)):,}" if steps else "before it had logged anything"
    text = f"This run was cut short {when}, and has no results"
    if not list(found.run.glob("checkpoints/last*.ckpt")):
        return note(f"{text}; it left no state to go on from.")
    return note(text, command("resume", found.run))
