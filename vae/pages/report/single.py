"""The report of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vae.pages.inline import image
from vae.pages.page import asset, page
from vae.pages.report.about import configuration, in_short, provenance
from vae.pages.report.contents import Contents
from vae.pages.report.curves import curves, own
from vae.pages.report.evaluation import evaluations, gradient_report
from vae.pages.report.headline import headline
from vae.pages.report.markup import Section, command, note, render, safe
from vae.pages.report.pictures import Picture, section_of

__all__ = ["single"]

OTHERS = {
    "interpolate": "Interpolations",
    "latent-map": "Map of the latent space",
}
"""Pictures that take longer to draw than a report may; those in ``images/`` are shown."""


def single(found: Contents, pictures: Sequence[Picture], bound: str | None) -> str:
    """The page of a run.

    Arguments:
        found: Its folder.
        pictures: Of its model.
        bound: What its test's ELBO is (:attr:`vae.pages.report.subject.Subject.bound`).
    """
    lead = (
        note(in_short(found))
        + safe("numbers", lambda: Section("numbers", "", headline(found, bound))).html
    )
    lead += "".join(note(line) for line in found.damaged)
    by_name = {picture.name: picture for picture in pictures}
    first = ["reconstructions", "samples"]
    drawn = {name: section_of(picture, found.run) for name, picture in by_name.items()}
    shown = {name: section for name, section in drawn.items() if section is not None}
    sections = [shown[name] for name in first if name in shown]
    sections.append(safe("curves", lambda: curves(own(found))))
    sections += [section for name, section in shown.items() if name not in first]
    sections += _others(found.run, [p for p in pictures if p.name not in shown])
    sections.append(safe("evaluation", lambda: evaluations(found)))
    sections.append(safe("gradients", lambda: gradient_report(found)))
    sections.append(safe("configuration", lambda: configuration(found)))
    sections.append(safe("provenance", lambda: provenance(found)))
    return page(found.name, render(lead, sections), asset("report/report.css"))


def _others(run: Path, lacking: Sequence[Picture]) -> list[Section]:
    """Pictures that were drawn before; a line on how to draw the others, or why there are none."""
    there = {name: run / "images" / f"{name}.png" for name in OTHERS}
    sections = [
        Section(name, OTHERS[name], f"<figure>{image(path.read_bytes(), OTHERS[name])}</figure>")
        for name, path in there.items()
        if path.is_file()
    ]
    lines = [note(f"{picture.title}: not drawn, {picture.why}.") for picture in lacking]
    lines += [
        note(f"{OTHERS[name]}: not drawn yet", command(name, run))
        for name, path in there.items()
        if not path.is_file()
    ]
    return sections + ([Section("more", "More pictures", "".join(lines))] if lines else [])
