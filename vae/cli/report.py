"""Writes the report of a run, or of several side by side: one HTML file, which needs no network."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from vae.cli.imports import uncollected
from vae.cli.next_step import about
from vae.cli.parser import ScriptParser, add_data
from vae.run.checkpoint import newest_run
from vae.run.files import writable


def report(runs: list[str] | None = None, output: str | None = None, data: Any = None) -> Path:
    """Writes all that is known of a run to one page; of several runs, what they share and differ in.

    Args:
        runs: Folders of runs, or of studies (vae seeds) and groups (vae train-many), which hold
            several; by default the newest run.
        output: The .html to write; by default report.html in the run's folder; of several runs, in
            the folder that holds them.
        data: Other data than a run was trained on: a data module, as --data mine.MyData.
    """
    from vae.pages.report.contents import contents, is_run

    paths = [Path(run).expanduser() for run in runs or [str(newest_run())]]
    one = contents(paths[0]) if len(paths) == 1 and is_run(paths[0]) else None
    if one is None:
        from vae.run.history import histories

        found = histories(paths)  # before the imports, which take a second
    target = Path(output).expanduser() if output else place(paths)
    if target.suffix != ".html":
        raise ValueError(f"a report is a page: --output must end in .html, got {target}")
    target = writable(target)
    with uncollected():
        import torch  # noqa: F401  # of which all else takes a part

        from vae.pages.report.pictures import drawn
        from vae.pages.report.sent import to_send
        from vae.pages.report.several import several
        from vae.pages.report.single import single
        from vae.pages.report.subject import read_subject
        from vae.run.wandb_page import has_page, log_images
        from vae.whole_files import replace_text
    if one is None:
        replace_text(target, several(paths, found))
        about(*paths, after="report of several")
        print(f"{len(found)} run{'s' * (len(found) > 1)}: {target}")
        return target
    about(one.run)
    subject = read_subject(one.run, data)
    if subject.why and target.is_file():
        raise ValueError(
            f"{target} is kept, since its pictures could not be drawn again ({subject.why}):"
            " delete it, or name another --output"
        )
    pictures = drawn(subject, one.evaluations)
    # a figure that is drawn a second time is laid out a little otherwise
    sent = to_send(one, pictures) if has_page(one.run) else {}
    replace_text(target, single(one, pictures, subject.bound))
    for line in [
        *one.damaged,
        *([f"without some pictures: {subject.why}"] if subject.why else []),
    ]:
        print(line, file=sys.stderr)
    print(f"report of {one.run}: {target}")
    log_images(one.run, sent)
    return target


def place(paths: list[Path]) -> Path:
    """Where a report goes by default."""
    if len(paths) == 1:
        return paths[0] / "report.html"
    return Path(os.path.commonpath([path.absolute().parent for path in paths])) / "report.html"


def main(words: list[str], program: str) -> None:
    parser = ScriptParser(prog=program, description=sys.modules[__name__].__doc__)
    parser.add_argument(
        "runs", nargs="*", help="folders of runs, or of studies; by default the newest run"
    )
    parser.add_function_arguments(report, skip={"runs", "data"})
    add_data(parser, words)
    report(**parser.arguments(words))
