"""The benchmark's numbers in the terminal: tables that say what each row is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmark.targets import targets

__all__ = ["LOOPS", "NAMES", "RESULT", "show", "value"]

RESULT = Path(__file__).resolve().parent.parent / "results" / "bench.json"
LOOPS = {
    "raw": "raw loop: a few linear layers and the loss, no library; fused Adam, data in memory",
    "bound": "the raw loop around this library's bound: shows what the bound costs",
    "fit": "make fit, eager: everything on (metrics, W&B offline, checkpoints, progress bar)",
    "fit_bound": "- with --model.compile true: the bound is compiled",
    "fit_step": "- with --model.compile step, the default of long runs: the whole step is compiled",
    "fit_capture": "- with --model.capture true: the whole step is one CUDA graph",
    "fit_capture_step": "- with both: the compiled step as one CUDA graph",
    "raw_graph": "the raw loop's step as one CUDA graph",
    "raw_grey": "the raw loop without binarisation",
    "lightning": "a plain LightningModule: torchvision's DataLoader, one logged value",
    "tutorial": "pytorch/examples' loop: torchvision's DataLoader, Adam, loss.item()",
}
"""What each loop is, in the order of the tables; a dash continues the row of ``make fit``."""

NAMES = {
    "raw": "raw loop",
    "bound": "raw loop around our bound",
    "fit": "make fit, eager",
    "fit_bound": "- compile true",
    "fit_step": "- compile step",
    "fit_capture": "- capture",
    "fit_capture_step": "- capture, compile step",
    "raw_graph": "raw, CUDA graph",
    "raw_grey": "raw, not binarised",
    "lightning": "plain Lightning",
    "tutorial": "pytorch/examples",
    "batch_size": "batch size",
    "num_samples": "samples K of the IWAE bound",
    "latent_dim": "latent variables",
    "eager": "models trained at once",
    "compiled": "models at once, compiled",
}
"""Short names of loops and of scaling axes, in the plot."""


def value(numbers: Mapping[str, float], digits: int = 2) -> str:
    """A median with its quartiles, where there are any."""
    median, *quartiles = (
        f"{numbers[name]:,.{digits}f}" for name in ("median", "q1", "q3") if name in numbers
    )
    return f"{median} ({'-'.join(quartiles)})" if quartiles else median


def table(title: str, columns: list[str], rows: list[list[str]]) -> Table:
    made = Table(*columns, title=title, title_justify="left", title_style="bold")
    for column in made.columns[1:]:
        column.justify = "right"
    for row in rows:
        made.add_row(*row)
    return made


def _models(result: Mapping[str, Any]) -> list[Table]:
    made = []
    for name, model in result.get("models", {}).items():
        memory = result.get("memory_megabytes", {}).get(name, {})
        rows = [
            [
                LOOPS[loop],
                value(row["images_per_second"], 0),
                value(row["ratio"]),
                f"{memory[loop]:,}" if loop in memory else "",
            ]
            for loop in LOOPS
            if (row := model["loops"].get(loop))
        ]
        columns = [name, "images/s (quartiles)", "ratio to raw (quartiles)", "peak MB"]
        made.append(table(f"{model['title']}, batch {model['batch_size']}", columns, rows))
    return made


def _epoch(result: Mapping[str, Any]) -> list[Table]:
    rows = [
        [LOOPS[loop], value(row["seconds"]), value(row["ratio"])]
        for loop, row in result.get("epoch", {}).items()
    ]
    title = "a whole epoch of make train-gaussian (the raw loop: its steps only)"
    return [table(title, ["loop", "seconds", "speed to raw"], rows)] if rows else []


def _processes(result: Mapping[str, Any]) -> list[Table]:
    parts = {
        f"whole command, {epochs} epochs": rows
        for epochs, rows in result.get("commands", {}).items()
    }
    if started := result.get("startup"):
        parts["start-up"] = started
    made = []
    for title, rows in parts.items():
        first = next(iter(rows))
        cells = [
            [name, value(row["wall"]), value(row["cpu"]), value(row["ratio"])]
            for name, row in rows.items()
        ]
        columns = ["command", "wall seconds", "cpu seconds", f"wall time to {first}"]
        made.append(table(title, columns, cells))
    return made


def _many(result: Mapping[str, Any]) -> list[Table]:
    many = dict(result.get("many", {}))
    rows = [
        [LOOPS[way], value(row["images_per_second"], 0), value(row["ratio"]), ""]
        for way, row in many.pop("one_at_a_time", {}).items()
    ]
    for way, points in many.items():
        for S, row in points.items():
            cells = (value(row["images_per_second"], 0), value(row["ratio"]))
            rows.append([f"train-many, {S} at once, {way}", *cells, value(row["ratio_to_fit"])])
    columns = ["models", "images/s of all", "to raw loops in turn", "to make fit in turn"]
    title = "many Gaussian models; make fit in turn: in the fastest of its ways"
    return [table(title, columns, rows)] if rows else []


def _scaling(result: Mapping[str, Any]) -> list[Table]:
    made = [
        table("scaling", [NAMES[axis], "images/s"], [[x, value(p, 0)] for x, p in points.items()])
        for axis, points in result.get("scaling", {}).items()
    ]
    if "evaluation" in result:
        rows = [
            [name, value(r["decodings_per_second"], 0), value(r["ratio_to_floor"])]
            for name, r in result["evaluation"].items()
        ]
        columns = ["K-sample log-likelihood", "decodings/s", "time / matrix products' time"]
        made.append(table("evaluation", columns, rows))
    return made


def _targets(result: Mapping[str, Any]) -> list[Table]:
    rows = [
        [
            t.what.replace("`", ""),
            f"{'<=' if t.most else '>='} {t.wanted}",
            value(t.found),
            t.margin,
        ]
        for t in targets(result)
    ]
    return [table("targets", ["what", "target", "found", ""], rows)] if rows else []


def sentences(result: Mapping[str, Any]) -> list[str]:
    """What has no table."""
    said = []
    if "step_cost_microseconds" in result:
        cost = value(result["step_cost_microseconds"], 0)
        said.append(
            f"make fit, of a model without work: {cost} microseconds a step more than"
            " the loop around the same bound"
        )
    for name, ratio in result.get("aging", {}).items():
        said.append(f"epoch 10 against epoch 1, {name.replace('_', ' ')}: {value(ratio)}")
    return said


def show(result: Mapping[str, Any]) -> None:
    """Prints everything."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    for part in (_models, _epoch, _processes, _many, _scaling, _targets):
        for made in part(result):
            console.print(made)
    for sentence in sentences(result):
        console.print(sentence)
    console.print(f"{result['hardware']}, torch {result['torch']}")
