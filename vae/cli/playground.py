"""Writes the estimator playground: gradient estimators at work beside the exact gradient, as one web page."""

from __future__ import annotations

from pathlib import Path

from vae.cli.imports import uncollected
from vae.cli.parser import ScriptParser
from vae.run.files import writable


def playground(output: str = "playground.html") -> Path:
    """Writes the page. It needs no checkpoint, no data and no network.

    Args:
        output: The page to write, an .html.
    """
    if not output.lower().endswith(".html"):
        raise ValueError(f"output is a web page, an .html, got {output}")
    target = writable(Path(output))
    with uncollected():
        from vae.pages.playground.page import playground_page
        from vae.whole_files import replace_text

    replace_text(target, playground_page())
    size = target.stat().st_size / 1e6
    print(f"{target} ({size:.2f} MB): open it in a browser; it needs nothing beside it")
    return target


def main(words: list[str], program: str) -> None:
    parser = ScriptParser(prog=program, description=__doc__)
    parser.add_function_arguments(playground)
    playground(**vars(parser.parse_args(words)))
