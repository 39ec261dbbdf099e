"""Lists what a model can be composed of: latent layers, priors, likelihoods, networks, data."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vae.cli.console import console, print_fitted
from vae.cli.parser import ScriptParser
from vae.models import catalogue
from vae.models.catalogue import Part

__all__ = ["Section", "markdown", "sections"]


class Section(NamedTuple):
    """A table of parts of one sort.

    Attributes:
        title: What they are, and the option that takes one.
        headers: Of the columns.
        rows: A row a part.
        note: Below the table.
    """

    title: str
    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""

    def fold(self, row: Sequence[str]) -> str:
        """What a row says of its part, in one cell: what it is about, and what it goes with."""
        *others, about = row[1:]
        named = [f"{h}: {cell}" for h, cell in zip(self.headers[1:], others, strict=False)]
        return "\n".join([about, *named])


def sections() -> list[Section]:
    """All parts of the catalogue, each with what it goes with."""
    latents = [
        (
            f"vae.{part.name}",
            ", ".join(part.kinds) or "no prior but its own",
            part.estimator,
            _about(part),
        )
        for part in _each(catalogue.LATENTS)
    ]
    priors = [
        (f"vae.{part.name}", ", ".join(part.kinds), _about(part))
        for part in catalogue.PRIORS.values()
    ]
    likelihoods = [
        (f"vae.{part.name}", " or ".join(part.kinds), _about(part))
        for part in _each(catalogue.LIKELIHOODS)
    ]
    networks = [
        (f"vae.{encoder.name}", f"vae.{decoder.name}", _about(encoder))
        for encoder, decoder in catalogue.NETWORKS.values()
    ]
    return [
        Section(
            "Latent layers: --model.latent",
            ("class", "samples", "an estimator to begin with", "about"),
            latents,
            "Each has a prior of its own.",
        ),
        Section(
            "Priors in place of a layer's own: --model.prior", ("class", "over", "about"), priors
        ),
        Section("Likelihoods: --model.likelihood", ("class", "pixels", "about"), likelihoods),
        Section(
            "Networks: --model.encoder, --model.decoder", ("encoder", "decoder", "about"), networks
        ),
        Section(
            "Objectives: --model.objective",
            ("class", "is, as in this example", "about"),
            [
                (f"vae.{part.name}", part.made(**part.options).bounds, _about(part))
                for part in catalogue.OBJECTIVES.values()
            ],
        ),
        Section(
            "Schedules: --model.schedules.BUFFER", ("class", "about"), _plain(catalogue.SCHEDULES)
        ),
        Section(
            "Data: --data",
            ("class", "about"),
            _plain(catalogue.DATA),
            "Your own: a subclass of vae.ImageDataModule, or any LightningDataModule.",
        ),
    ]


def _each(parts: Mapping[str, Part]) -> list[Part]:
    """The parts, a class with several examples once; its estimators and notes together."""
    groups: dict[str, list[Part]] = {}
    for part in parts.values():
        groups.setdefault(part.name, []).append(part)

    def joined(words: Iterable[str]) -> str:
        return ", ".join(dict.fromkeys(filter(None, words)))

    return [
        group[0]._replace(
            estimator=joined(part.estimator for part in group),
            note=joined(part.note for part in group),
        )
        for group in groups.values()
    ]


def _plain(parts: Mapping[str, Part]) -> list[tuple[str, ...]]:
    return [(f"vae.{part.name}", _about(part)) for part in parts.values()]


def _about(part: Part) -> str:
    """The first line of the class's docstring, and the catalogue's note."""
    first = (inspect.getdoc(part.made) or "").partition("\n")[0]
    first = re.sub(r":(class|math):|`|\\", "", first).removeprefix("Creates ")
    start = first if first.startswith("scikit") else first[:1].upper() + first[1:]
    return f"{start.removesuffix('.')} ({part.note})." if part.note else start


def markdown() -> str:
    """The tables for the documentation."""
    lines: list[str] = []
    for section in sections():
        if section.rows:
            lines += [f"**{section.title.replace(': ', ': `', 1)}`**", ""]
            lines += [
                "| " + " | ".join(section.headers) + " |",
                "|---" * len(section.headers) + "|",
            ]
            for name, *cells in section.rows:
                escaped = [cell.replace("|", "\\|") for cell in cells]
                lines.append(f"| `{name}` | " + " | ".join(escaped) + " |")
            lines += ["", *([section.note, ""] if section.note else [])]
    return "\n".join(lines).strip()


def show(format: str = "table") -> None:
    """Prints the parts.

    Args:
        format: table or markdown.
    """
    if format not in ("table", "markdown"):
        raise ValueError(f"unknown format {format!r}: choose table or markdown")
    if format == "markdown":
        print(markdown())
        return
    out = console()
    for section in sections():
        if section.rows:
            out.print(section.title, style="bold", markup=False)
            print_fitted(out, section.headers, section.rows, section.fold, 110)
            if section.note:
                out.print(section.note)
    count = len(list(catalogue.combinations()))
    out.print(
        f"{count} combinations of latent layer, prior and likelihood go together, and tests train each"
        " (the fast tests: every pair)."
    )


def main(words: list[str], program: str) -> None:
    parser = ScriptParser(prog=program, description=__doc__)
    parser.add_function_arguments(show)
    show(**vars(parser.parse_args(words)))
