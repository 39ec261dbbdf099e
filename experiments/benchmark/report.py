"""The benchmark's numbers for people: tables in the terminal and in the README."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["LOOPS", "NAMES", "RESULT", "markdown", "show"]

RESULT = Path(__file__).resolve().parent.parent / "results" / "bench.json"
LOOPS = {
    "vae": "this library, `make fit`: Lightning, metrics, W&B offline, checkpoints, progress bar",
    "eager": "the same steps in a hand-written loop, fused Adam, data in memory",
    "eager_grey": "- without binarisation",
    "by_hand": "- and no library at all: five linear layers and the loss in one function",
    "compiled": "- the bound compiled, as `--model.compile true` does",
    "cuda_graph": "- captured in a CUDA graph",
    "lightning": "LightningModule, torchvision DataLoader, Trainer defaults, one logged value",
    "tutorial": "pytorch/examples' loop: torchvision DataLoader, Adam, `loss.item()`",
}
"""What each loop is; a dash continues the line of the reference."""

NAMES = {
    "vae": "this library",
    "eager": "a hand-written loop",
    "eager_grey": "- without binarisation",
    "by_hand": "- without a library",
    "compiled": "- compiled",
    "cuda_graph": "- as a CUDA graph",
    "lightning": "plain Lightning",
    "tutorial": "pytorch/examples",
    "batch_size": "batch size",
    "num_samples": "samples K of the IWAE bound",
    "latent_dim": "latent variables",
    "models": "models trained at once",
}
"""Short names of loops and of scaling axes, in the plot."""


def value(numbers: Mapping[str, float], digits: int = 2) -> str:
    """A median with its quartiles."""
    median, q1, q3 = (f"{numbers[name]:,.{digits}f}" for name in ("median", "q1", "q3"))
    return f"{median} ({q1}-{q3})"


def table(
    title: str, columns: list[str], rows: list[list[str]], width: int | None = None
) -> Table:
    made = Table(*columns, title=title, title_justify="left", title_style="bold")
    for column in made.columns[1:]:
        column.justify = "right"
    for row in rows:
        made.add_row(*row)
    return made


def tables(result: Mapping[str, Any]) -> list[Table]:
    made = []
    for model, loops in result.get("models", {}).items():
        memory = result.get("memory_megabytes", {}).get(model, {})
        rows = [
            [
                LOOPS[name].replace("`", ""),
                value(loops[name]["images_per_second"], 0),
                value(loops[name]["ratio"]),
                f"{memory[name]:,}" if name in memory else "",
            ]
            for name in LOOPS
            if name in loops
        ]
        columns = [model, "images/s (quartiles)", "ratio (quartiles)", "peak MB"]
        made.append(table(f"{model}, batch {result['batch_size']}", columns, rows))
    for axis, points in result.get("scaling", {}).items():
        rows = [
            [x, value(p.get("images_per_second", p), 0), value(p["ratio"]) if "ratio" in p else ""]
            for x, p in points.items()
        ]
        columns = [NAMES[axis], "images/s", "ratio to one model"]
        made.append(table("scaling", columns, rows))
    if "evaluation" in result:
        rows = [
            [name, value(r["decodings_per_second"], 0), value(r["ratio_to_floor"])]
            for name, r in result["evaluation"].items()
        ]
        columns = ["K-sample log-likelihood", "decodings/s", "time / matrix products' time"]
        made.append(table("evaluation", columns, rows))
    return made


def sentences(result: Mapping[str, Any]) -> list[str]:
    """What has no table."""
    said = []
    if "fit_loop_microseconds" in result:
        cost = value(result["fit_loop_microseconds"], 0)
        said.append(f"fit loop: {cost} microseconds a step more than the hand-written loop")
    for name, ratio in result.get("aging", {}).items():
        said.append(f"epoch 10 against epoch 1, {name.replace('_', ' ')}: {value(ratio)}")
    return said


def show(result: Mapping[str, Any]) -> None:
    """Prints everything."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    for made in tables(result):
        console.print(made)
    for sentence in sentences(result):
        console.print(sentence)
    console.print(f"{result['hardware']}, torch {result['torch']}")


def markdown(path: Path = RESULT) -> str:
    """The README's table: a column for each model, each loop's speed as a ratio.

    The other measurements follow, a line each.
    """
    result = json.loads(path.read_text())
    models = result["models"]
    names = [f"`{name}`" for name in models]
    lines = ["| training loop | " + " | ".join(names) + " |", "|---|" + "---|" * len(models)]
    for name, what in LOOPS.items():
        if any(name in loops for loops in models.values()):
            cells = [cell(loops.get(name)) for loops in models.values()]
            lines.append(f"| {what} | " + " | ".join(cells) + " |")
    lines += ["", *(f"- {said}." for said in remarks(result)), ""]
    lines.append(
        "`make bench`; images a second as a ratio to the hand-written loop in the same round (images"
        f" a second in brackets), batch {result['batch_size']}; medians (quartiles) of"
        f" {result['rounds']} rounds; {result['hardware']}; torch {result['torch']}."
    )
    return "\n".join(lines)


def remarks(result: Mapping[str, Any]) -> list[str]:
    """What the README says below its table, of the parts that were measured."""
    said = []
    if "fit_loop_microseconds" in result:
        said.append(
            "One step more than the hand-written loop's, of a model without work:"
            f" {value(result['fit_loop_microseconds'], 0)} microseconds"
        )
    if together := result.get("scaling", {}).get("models"):
        ratios = (f"{S}: {row['ratio']['median']:.2f}" for S, row in together.items())
        said.append(
            "Models trained at once, speed as a ratio to one after the other: " + ", ".join(ratios)
        )
    if evaluated := result.get("evaluation"):
        ratios = (f"`{k}` {value(v['ratio_to_floor'])}" for k, v in evaluated.items())
        said.append(
            "K-sample log-likelihood, time as a ratio to that of its matrix products alone: "
            + ", ".join(ratios)
        )
    if aged := result.get("aging"):
        ratios = (f"{k.replace('_', ' ')} {value(v)}" for k, v in aged.items())
        said.append("The tenth epoch's speed as a ratio to the first's: " + ", ".join(ratios))
    return said


def cell(loop: Mapping[str, Any] | None) -> str:
    if loop is None:
        return "-"
    return f"{loop['ratio']['median']:.2f} ({loop['images_per_second']['median']:,.0f})"
