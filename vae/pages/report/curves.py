"""Learning curves in a report: a figure for each metric, a line for each configuration."""

from __future__ import annotations

from collections.abc import Sequence

from vae.pages.inline import svg
from vae.pages.report.markup import Section, figures, note
from vae.run.history import Configuration, metrics_of

__all__ = ["curves"]

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
    from vae.pictures.curves import curve, draw

    title, shown = "Learning curves", {}
    logged = metrics_of([run for group in groups for run in group.runs])
    for metric, about in SHOWN.items():
        if metric not in logged:
            continue
        lines = {
            group.label: curve([run.rows for run in group.runs], metric, "steps")
            for group in groups
            if all(any(metric in row for row in run.rows) for run in group.runs)
        }
        lines = {label: line for label, line in lines.items() if line.x}
        if lines:
            name = "curves-" + metric.replace("/", "-")
            shown[f"{about}, in nats an image."] = svg(draw({metric: lines}), name, metric)
    if not shown:
        return Section("curves", title, note("Nothing was logged."))
    return Section("curves", title, figures(shown))
