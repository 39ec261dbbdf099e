"""Learning curves in a report: a figure for each metric, a line for each configuration."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vae.pages.inline import svg
from vae.pages.report.alike import same_objective
from vae.pages.report.contents import Contents
from vae.pages.report.markup import Section, figures, note
from vae.run.history import Configuration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae.pictures.curves import Curve

__all__ = ["curves", "curves_of", "own", "whole"]

SHOWN = {
    "val/elbo": "ELBO of validation images",
    "val/rate": "rate of validation images",
    "val/rate_mc": "rate of validation images, estimated from samples",
    "val/distortion": "distortion of validation images",
    "train/bound": "what is maximised, on training batches",
    "train/elbo": "ELBO of training batches, with hard samples",
}
"""Metrics that are drawn, where they were logged, with what they are."""


def curves(groups: Sequence[Configuration]) -> Section:
    """The metrics that every run of a configuration has logged.

    Arguments:
        groups: Runs of one configuration each.
    """
    return curves_of({"": groups})


def curves_of(kinds: Mapping[str, Sequence[Configuration]]) -> Section:
    """The same, figures of their own for what does not compare.

    Arguments:
        kinds: Configurations whose bounds compare, by what they are bounds of.
    """
    parts = []
    for place, (what, groups) in enumerate(kinds.items()):
        lines = _lines(groups)
        if lines:
            parts.append(f"<h3>{html.escape(what)}</h3>" * (len(kinds) > 1))
            parts.append(figures(_figures(lines, groups, f"curves-{place}")))
        parts += map(note, _left_out(lines, groups) if lines else ())
    return Section("curves", "Learning curves", "".join(parts) or note("Nothing was logged."))


def _left_out(
    drawn: Mapping[str, Mapping[str, Curve]], groups: Sequence[Configuration]
) -> list[str]:
    """What the figures do not show of runs, a line each."""
    said = []
    for group in groups:
        own = [lines[group.label] for lines in drawn.values() if group.label in lines]
        if not own:
            said.append(f"{group.label}: nothing was logged.")
        elif missing := len(group.runs) - min(line.runs for line in own):
            said.append(f"{group.label}: {missing} of its {len(group.runs)} runs lack a metric.")
        if cuts := [line.cut for line in own if line.cut is not None]:
            said.append(f"{group.label}: up to step {min(cuts):,}, where its shortest run is.")
    return said


def _figures(
    drawn: Mapping[str, Mapping[str, Curve]], groups: Sequence[Configuration], name: str
) -> dict[str, str]:
    """A figure for each metric, by its caption."""
    from vae.pictures.curves import draw

    shown = {}
    for metric, lines in drawn.items():
        about = f"{SHOWN[metric]}, in nats an image."
        if metric == "train/bound" and not same_objective(groups):
            about += " The objectives differ: these lines do not compare."
        shown[about] = svg(draw({metric: lines}), f"{name}-{metric.replace('/', '-')}", metric)
    return shown


def own(found: Contents) -> list[Configuration]:
    """A run by itself; none if it has logged nothing."""
    return [Configuration(found.history.name, [found.history])] if found.history else []


def whole(groups: Sequence[Configuration]) -> Figure | None:
    """All of them in one figure, a panel each; None where nothing was logged."""
    from vae.pictures.curves import draw

    lines = _lines(groups)
    return draw(lines) if lines else None


def _lines(groups: Sequence[Configuration]) -> dict[str, dict[str, Curve]]:
    """The metrics that are drawn, each with the curves of the configurations that have it.

    The mean is over those runs that have logged it, which a figure counts.
    """
    from vae.pictures.curves import curve

    found = {}
    for metric in SHOWN:
        lines = {
            group.label: curve(rows, metric, "steps")
            for group in groups
            if (rows := [r.rows for r in group.runs if any(metric in row for row in r.rows)])
        }
        found[metric] = {label: line for label, line in lines.items() if line.x}
    return {metric: lines for metric, lines in found.items() if lines}
