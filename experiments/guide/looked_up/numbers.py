"""What each number means: a sentence a name; unit, kind and example are those of committed evaluations."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from IPython.display import Markdown

from looked_up.meanings import EVALUATION, TRAINING
from vae.evaluation.parts import ALWAYS, part_class

__all__ = ["meaning", "measured", "of_part", "of_training"]

RESULTS = Path(__file__).resolve().parents[3] / "experiments" / "results"


def meaning(name: str, meanings: dict[str, str]) -> str | None:
    """What a number of that name is; a name with a K or a beta in it has a pattern."""
    for pattern, said in meanings.items():
        if re.fullmatch(pattern, name):
            return said
    return None


def measured() -> dict[str, dict[str, Any]]:
    """A number of each name that the committed evaluations hold, those of the main runs first."""
    files = [RESULTS / f"{name}.json" for name in ("discrete", "gaussian")]
    files += sorted((RESULTS / "models").glob("*.json"))
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        for name, number in json.loads(file.read_text(encoding="utf-8"))["metrics"].items():
            found.setdefault(name, {**number, "model": file.stem})
    return found


def of_part(part: str) -> Markdown:
    """The numbers of a part of an evaluation.

    Arguments:
        part: Such as ``ais``; its flag is ``--ais``.
    """
    seen: dict[str, tuple[str, dict[str, Any] | None]] = {}
    for name, number in measured().items():
        if number.get("part") == part:
            said = meaning(name, EVALUATION[part])
            if said is not None and said not in [sentence for sentence, _ in seen.values()]:
                seen[name] = (said, number)
    for pattern, said in EVALUATION[part].items():
        if said not in [sentence for sentence, _ in seen.values()]:
            seen[pattern.replace("\\d+", "K")] = (said, None)
    lines = [
        _asked(part),
        "",
        "| number | what it is | unit | it is | for example |",
        "|---|---|---|---|---|",
    ]
    for name, (said, example) in seen.items():
        facts = [example["unit"], _kind(example), _example(example)] if example else ["", "", ""]
        lines.append(f"| `{name}` | {said} | " + " | ".join(facts) + " |")
    return Markdown("\n".join(lines))


def _asked(part: str) -> str:
    flag = "Always there" if part in ALWAYS else f"`vae evaluate --{part}`"
    return f"{flag}: {part_class(part).title}."


def _kind(number: dict[str, Any]) -> str:
    articles = {"lower bound": "a", "upper bound": "an", "estimate": "an"}
    bound: str = number["bound"]
    return f"{articles[bound]} {bound}" if bound in articles else bound


def _example(number: dict[str, Any]) -> str:
    value = f"{number['mean']:,.4g}"
    error = f" ± {number['se']:.2g}" if number.get("se") else ""
    return f"{value}{error} ({number['model']}, {number['images']:,} images)"


def of_training() -> Markdown:
    """The numbers of ``metrics.jsonl`` and of the W&B page."""
    lines = ["| number | what it is |", "|---|---|"]
    names = {
        pattern: pattern.replace("[a-z_]+", "NAME").replace("\\d+", "K") for pattern in TRAINING
    }
    return Markdown(
        "\n".join([*lines, *(f"| `{names[p]}` | {said} |" for p, said in TRAINING.items())])
    )
