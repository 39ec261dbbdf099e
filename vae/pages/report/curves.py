"""Learning curves in a report: a figure for each metric, a line for each configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vae.pages.inline import svg
from vae.pages.report.contents import Contents
from vae.pages.report.markup import Section, figures, note
from vae.run.history import Configuration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae.pictures.curves import Curve

__all__ = ["curves", "own", "whole"]

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
    from vae.pictures.curves import draw

    title, shown = "Learning curves", {}
    for metric, lines in _lines(groups).items():
        name = "curves-" + metric.replace("/", "-")
        shown[f"{SHOWN[metric]}, in nats an image."] = svg(draw({metric: lines}), name, metric)
    if not shown:
        return Section("curves", title, note("Nothing was logged."))
    return Section("curves", title, figures(shown))


def own(found: Contents) -> list[Configuration]:
    """A run by itself; none if it has logged nothing."""
    return [Configuration(found.history.name, [found.history])] if found.history else []


def whole(groups: Sequence[Configuration]) -> Figure | None:
    """All of them in one figure, a panel each; None where nothing was logged."""
    from vae.pictures.curves import draw

    lines = _lines(groups)
    return draw(lines) if lines else None


def _lines(groups: Sequence[Configuration]) -> dict[str, dict[str, Curve]]:
    """The metrics that are drawn, each with the curves of the configurations that have it."""
    from vae.pictures.curves import curve

    found = {}
    for metric in SHOWN:
        lines = {
            group.label: curve([run.rows for run in group.runs], metric, "steps")
            for group in groups
            if all(any(metric in row for row in run.rows) for run in group.runs)
        }
        found[metric] = {label: line for label, line in lines.items() if line.x}
    return {metric: lines for metric, lines in found.items() if lines}
