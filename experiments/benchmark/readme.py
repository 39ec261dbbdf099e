"""The benchmark's numbers in the README, and its targets in the results' README."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.report import RESULT, value
from benchmark.targets import targets

__all__ = ["markdown", "markdown_targets"]

COLUMNS = {
    "bound": "around our bound",
    "fit": "`make fit`, eager",
    "fit_bound": "bound compiled",
    "fit_step": "step compiled (default)",
    "fit_capture": "`--model.capture true`",
    "fit_capture_step": "both",
    "raw_graph": "raw loop as a CUDA graph",
}


def markdown(path: Path = RESULT) -> str:
    """A row for each model, its speed by each loop as a ratio to the raw loop; then a line a part."""
    result = json.loads(path.read_text(encoding="utf-8"))
    models = result.get("models", {})
    shown = [c for c in COLUMNS if any(c in model["loops"] for model in models.values())]
    head = ["model, batch size", "raw loop, images/s", *(COLUMNS[c] for c in shown)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for model in models.values():
        loops = model["loops"]
        cells = [
            f"{model['title']}, {model['batch_size']}",
            value({"median": loops["raw"]["images_per_second"]["median"]}, 0),
            *(value(loops[c]["ratio"]) if c in loops else "-" for c in shown),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_commands(result.get("commands", {}))]
    lines += [*(f"- {said}." for said in _remarks(result)), ""]
    lines.append(
        f"`make bench`; medians (quartiles); {result['hardware']}; torch {result['torch']}."
    )
    return "\n".join(lines)


def markdown_targets(path: Path = RESULT) -> str:
    """Each target, and by how much it is met or missed."""
    lines = ["| what | target | found | |", "|---|---|---|---|"]
    for target in targets(json.loads(path.read_text(encoding="utf-8"))):
        bound = f"{'≤' if target.most else '≥'} {target.wanted}"
        lines.append(f"| {target.what} | {bound} | {value(target.found)} | {target.margin} |")
    return "\n".join(lines)


def _commands(commands: Mapping[str, Any]) -> list[str]:
    """A row for each whole command: seconds, and in brackets the ratio to the first."""
    if not commands:
        return []
    names = list(dict.fromkeys(name for rows in commands.values() for name in rows))
    head = ["whole command", *(f"{epochs} epochs" for epochs in commands)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in names:
        found = (rows.get(name) for rows in commands.values())
        cells = (
            f"{row['wall']['median']:.1f} s ({row['ratio']['median']:.2f})" if row else "-"
            for row in found
        )
        lines.append(f"| {' | '.join([name.replace('fit', '`vae fit`', 1), *cells])} |")
    return [*lines, ""]


def _remarks(result: Mapping[str, Any]) -> Iterator[str]:
    loops = result.get("models", {}).get("gaussian", {}).get("loops", {})
    others = {"lightning": "a plain LightningModule", "tutorial": "pytorch/examples' loop"}
    if all(name in loops for name in others):
        ratios = (f"{what} {value(loops[name]['ratio'])}" for name, what in others.items())
        yield f"The Gaussian model by other loops, to the raw loop: {', '.join(ratios)}"
    if epoch := result.get("epoch"):
        ways = {"fit_step": "`make train-gaussian`", "fit": "the same without `torch.compile`"}
        ways["raw"] = "the raw loop's steps alone"
        said = (f"{ways[w]} {value(epoch[w]['seconds'])}" for w in ways if w in epoch)
        yield f"A whole epoch, validation and checkpoints included, in seconds: {', '.join(said)}"
    if started := result.get("startup"):
        first, *ours = started
        said = (f"{_code(name)} {value(started[name]['ratio'])}" for name in ours)
        seconds = value(started[first]["wall"], 1)
        yield f"Start-up, as a ratio to `{first}` ({seconds} s): {', '.join(said)}"
    if many := result.get("many"):
        said = (
            f"{S}{' compiled' if way == 'compiled' else ''}"
            f" {row['ratio_to_fit']['median']:.2f}, {row['ratio']['median']:.2f}"
            for way in ("eager", "compiled")
            for S, row in many.get(way, {}).items()
        )
        yield (
            "Models at once (`make train-many`), speed to one after the other by `make fit` in its"
            f" fastest way, and by the raw loop: {'; '.join(said)}"
        )
    if evaluated := result.get("evaluation"):
        ratios = (f"`{k}` {value(v['ratio_to_floor'])}" for k, v in evaluated.items())
        yield f"K-sample log-likelihood, time to that of its matrix products alone: {', '.join(ratios)}"
    if aged := result.get("aging"):
        ratios = (f"{k.replace('_', ' ')} {value(v)}" for k, v in aged.items())
        yield f"The raw loop's tenth epoch, speed to its first: {', '.join(ratios)}"


def _code(name: str) -> str:
    """A command as code, what follows a comma as words."""
    command, comma, words = name.partition(",")
    return f"`{command}`{comma}{words}"
