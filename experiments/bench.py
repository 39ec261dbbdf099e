"""Compares the speed of training with loops without a library, tutorials' loops, and other scripts.

``vae fit`` with everything on trains in this process, and other loops take turns with it from inside
its steps: a few linear layers and the loss in one function (the raw loop, the reference), the same
around this library's bound, and the loops of tutorials. Whole commands and start-up are processes
started alternately. Every number is a median over rounds with its quartiles; every ratio is taken
within a round.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from benchmark.command_line import images_on
from benchmark.commands import NEEDS, commands
from benchmark.many import together
from benchmark.memory import alone, memory
from benchmark.models import MODELS
from benchmark.report import NAMES, RESULT, show
from benchmark.scaling import evaluation, scaling
from benchmark.startup import startup
from benchmark.training import compare, epoch, step_cost
from torch import Tensor

from vae.analysis.plots import bench as plot
from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.cli.quiet import quiet
from vae.devices import asynchronous
from vae.run.files import read_json, writable, write_json
from vae.run.record import find_device, hardware

PARTS = {
    "models": "each model by each loop",
    "epoch": "a whole epoch of make train-gaussian",
    "commands": "whole commands against those of others (needs checkouts of theirs)",
    "startup": "how long commands take to start",
    "many": "many models at once",
    "step_cost": "what a step costs beyond the bound, of a model without work",
    "scaling": "speed by batch size, K and latent size",
    "evaluation": "the K-sample log-likelihood against its matrix products",
    "memory": "peak memory of the loops",
    "aging": "the tenth epoch against the first",
}
"""What can be measured, in this order."""

SAME = ("hardware", "torch", "lightning", "quick")
"""What a result that is added to must share."""


def _models(names: list[str], images: Tensor, *rest: Any) -> dict[str, Any]:
    found = {}
    for name in names:
        print(f"{name} ...", flush=True)
        model = MODELS[name]
        found[name] = {"title": model.title, "batch_size": model.batch_size}
        found[name]["loops"] = compare(name, images, *rest)
    return found


def _aging(rounds: int, device: str) -> dict[str, Any]:
    return {
        name: alone("scaling", f"print_aging({flush}, 10, {3 * rounds}, 100, {device!r})")
        for name, flush in (("denormals_flushed", True), ("denormals_kept", False))
    }


def _measures(
    names: list[str],
    rounds: int,
    seconds: float,
    device: str,
    pytorch_examples: str | None,
    pythae: str | None,
    quick: bool,
) -> dict[str, tuple[str, Callable[[], Any]]]:
    """Of each part that can be measured: its name in the result, and what measures it."""
    images = images_on(device)
    sizes: tuple[int, ...] = (1, 4, 16, 64) if asynchronous(torch.device(device)) else (1, 4, 16)
    sizes = (2,) if quick else sizes
    measures: dict[str, tuple[str, Callable[[], Any]]] = {
        "models": ("models", partial(_models, names, images, rounds, seconds, device, quick)),
        "epoch": ("epoch", partial(epoch, rounds, device, 20 if quick else None, quick)),
        "startup": ("startup", partial(startup, rounds, quick)),
        "many": ("many", partial(together, images, rounds, seconds, device, sizes, quick)),
        "step_cost": (
            "step_cost_microseconds",
            partial(
                step_cost, images, rounds if quick else 5 * rounds, 20 if quick else 500, device
            ),
        ),
        "scaling": ("scaling", partial(scaling, images, rounds, seconds / 4, device)),
        "evaluation": (
            "evaluation",
            partial(evaluation, images, rounds, 2 if quick else 100, device),
        ),
    }
    if pytorch_examples is not None:
        lengths = (1,) if quick else (4, 10)
        several = max(1, (rounds + 1) // 2)
        measure = partial(commands, several, pytorch_examples, pythae, lengths, device)
        measures["commands"] = ("commands", measure)
    if not quick:  # they start other processes
        measures["memory"] = ("memory_megabytes", partial(memory, names, device))
        measures["aging"] = ("aging", partial(_aging, rounds, device))
    return measures


def bench(
    models: list[str] | None = None,
    rounds: int = 5,
    seconds: float = 0.5,
    parts: list[str] | None = None,
    device: str = "auto",
    output: str | None = None,
    pytorch_examples: str | None = None,
    pythae: str | None = None,
    quick: bool = False,
) -> dict[str, Any]:
    """Measures, prints tables, and writes a JSON and a plot beside it.

    Args:
        models: Names of models; by default all.
        rounds: Rounds of all loops in turn, after one that warms up; whole commands have half as
            many.
        seconds: How long each loop runs in a round.
        parts: What to measure; by default all.
        device: cpu, cuda, or auto.
        output: The JSON to write; the plot has the same name with .png. Where parts or models are
            chosen, only theirs change in a JSON that is there. By default, of a whole measurement,
            the one of which the README's table is made; of a part, or a quick one, none.
        pytorch_examples: A checkout of github.com/pytorch/examples, whose script whole commands are
            compared with; without one they are left out.
        pythae: A checkout of github.com/clementchadebec/benchmark_VAE, for a row more there.
        quick: Only shows that everything works, in seconds: one round of a few steps.

    Raises:
        ValueError: If an argument is none of the above, or a part failed; the others are written.
    """
    names, chosen = models or list(MODELS), parts or list(PARTS)
    for what, given, known in (("model", names, list(MODELS)), ("part", chosen, list(PARTS))):
        if unknown := [name for name in given if name not in known]:
            raise ValueError(f"unknown {what} {unknown[0]!r}: choose from {', '.join(known)}")
    if rounds < 1 or not seconds > 0:
        raise ValueError(
            f"rounds must be at least 1 and seconds positive, got {rounds}, {seconds}"
        )
    if pytorch_examples is None and (pythae is not None or "commands" in (parts or [])):
        raise ValueError(NEEDS)
    if output is None and not (quick or models or parts):
        output = str(RESULT)
    if output is not None and Path(output).suffix != ".json":
        raise ValueError(f"output {output} must end in .json: the plot takes its name from it")
    path = None if output is None else writable(Path(output))
    device = find_device(device)
    rounds, seconds = (1, min(seconds, 0.02)) if quick else (rounds, seconds)
    quiet()
    torch.set_flush_denormal(True)  # as the command line does, before torch's threads start
    result: dict[str, Any] = {
        "hardware": hardware(device),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "quick": quick,
    }
    if path is not None and path.exists() and (models or parts):
        result = _continued(path, result)
    measures = _measures(names, rounds, seconds, device, pytorch_examples, pythae, quick)
    failed = _measure(
        result,
        {part: measures[part] for part in PARTS if part in chosen and part in measures},
        rounds,
    )
    if "commands" in chosen and "commands" not in measures:
        print(NEEDS)
    show(result)
    if path is not None:
        write_json(path, result)
        plot(result, NAMES, path.with_suffix(".png"))
        print(f"written {path}, {path.with_suffix('.png').name}")
    if failed:
        raise ValueError("; ".join(failed))
    return result


def _measure(
    result: dict[str, Any], measures: dict[str, tuple[str, Callable[[], Any]]], rounds: int
) -> list[str]:
    """Measures parts and adds them to a result; returns what failed."""
    failed = []
    for part, (key, measure) in measures.items():
        print(f"{part}: {PARTS[part]} ...", flush=True)
        started = time.monotonic()
        try:
            found = measure()
        except (ValueError, RuntimeError) as error:
            failed.append(f"part {part} failed ({(str(error).splitlines() or ['?'])[0]})")
            continue
        if key in ("models", "memory_megabytes"):
            found = result.get(key, {}) | found
        result[key] = found
        result["rounds"] = result.get("rounds", {}) | {part: rounds}
        print(f"{part}: {time.monotonic() - started:.0f} s", flush=True)
    return failed


def _continued(path: Path, fresh: dict[str, Any]) -> dict[str, Any]:
    """A result that is there, to be added to.

    Raises:
        ValueError: If it was measured elsewhere.
    """
    found: dict[str, Any] = read_json(path)
    if differing := [name for name in SAME if found.get(name) != fresh[name]]:
        raise ValueError(
            f"{path} was measured with {differing[0]} {found.get(differing[0])}, and this is"
            f" {fresh[differing[0]]}: name another output"
        )
    return found


if __name__ == "__main__":
    with one_line_errors():
        parser = ScriptParser(description=__doc__)
        parser.add_function_arguments(bench, skip={"models", "parts", "quick"})
        parser.add_argument(
            "--models", nargs="+", help=f"Which of {', '.join(MODELS)} (default: all)."
        )
        parser.add_argument(
            "--parts", nargs="+", help=f"Which of {', '.join(PARTS)} (default: all)."
        )
        parser.add_argument(
            "--quick",
            action="store_true",
            help="One round of a few steps: only shows that everything works.",
        )
        bench(**vars(parser.parse_args()))
