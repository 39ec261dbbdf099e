"""Compares the speed of training: this library, a hand-written loop and the tutorials' loops.

This library's command line, the same steps in a hand-written loop (the reference), and the loops of
tutorials run in turn, in one process. Every number is a median over rounds with its quartiles;
every ratio is taken within a round. Measured besides: what a step of the fit loop costs, memory,
scaling, the tenth epoch against the first, and the K-sample log-likelihood against its matrix
products.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import torch
from benchmark.loops import (
    MODELS,
    Eager,
    Graph,
    command_line,
    eager,
    images_on,
    peak_memory,
)
from benchmark.peers import Tutorial, TutorialVAE, plain_lightning
from benchmark.report import NAMES, RESULT, show
from benchmark.rounds import Loop, Rounds, against_eager, summary
from benchmark.scaling import aging, evaluation, scaling
from torch import Tensor

from vae.analysis.plots import bench as plot
from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.cli.quiet import quiet
from vae.devices import takes_graphs
from vae.run.files import writable, write_json
from vae.run.record import find_device, hardware

HERE = Path(__file__).resolve().parent
DIVISORS = {"gaussian": 1, "gumbel_softmax": 1, "rloo": 4, "iwae": 20}
"""The factor by which a round has fewer steps, for models whose steps take longer."""
NULL = {"class": "GaussianVAE", "latent_dim": 1, "hidden": [1]}
"""A model with next to nothing to compute."""
PARTS = ["models", "fit_loop", "memory", "scaling", "aging", "evaluation"]


def compare(
    names: list[str], images: Tensor, rounds: int, steps: int, device: str, compiled: bool = True
) -> dict[str, Any]:
    """Each model by each loop."""
    found: dict[str, Any] = {}
    for name in names:
        print(f"{name} ...", flush=True)
        count = max(1, steps // DIVISORS[name])
        guests: dict[str, tuple[Loop, int]] = {"eager": (eager(MODELS[name], images), count)}
        if compiled:
            guests["compiled"] = (eager(MODELS[name], images, compiled=True), count)
        if takes_graphs(torch.device(device)):
            try:
                guests["cuda_graph"] = (Graph(MODELS[name], images), count)
            except RuntimeError as error:
                print(f"{name}: no CUDA graph ({str(error).splitlines()[0]})")
        if name == "gaussian":
            by_hand, few = TutorialVAE().to(device), max(1, steps // 4)
            guests["by_hand"] = (Eager(by_hand.fast_loss, by_hand.parameters(), images), count)
            guests["eager_grey"] = (eager(MODELS[name], images, binarized=False), count)
            guests["tutorial"] = (Tutorial(images), few)
        turns = Rounds("vae", count, guests, device)
        command_line(MODELS[name], count * (rounds + 1), turns.on_step, device)
        found[name] = against_eager(turns.rates)
        if name == "gaussian":
            turns = Rounds("lightning", few, {"eager": (eager(MODELS[name], images), few)}, device)
            plain_lightning(images, few * (rounds + 1), turns.on_step)
            found[name]["lightning"] = against_eager(turns.rates)["lightning"]
    return found


def fit_loop(images: Tensor, rounds: int, steps: int, device: str) -> dict[str, float]:
    """Microseconds that a step takes beyond the hand-written loop's, of a model without work."""
    size = 8
    turns = Rounds("vae", steps, {"eager": (eager(NULL, images, size), steps)}, device)
    command_line(NULL, steps * (rounds + 1), turns.on_step, device, size)
    pairs = zip(turns.rates["vae"], turns.rates["eager"], strict=True)
    return summary([1e6 * size * (1 / a - 1 / b) for a, b in pairs])


def alone(call: str) -> Any:
    """What a function of this script prints as JSON, called in a process of its own."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import bench; bench.{call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{call} failed: {(done.stderr.splitlines() or ['?'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def print_memory(model: str, loop: str, steps: int, device: str) -> None:
    """Trains by one loop, and prints the peak memory in MB."""
    quiet()
    images = images_on(device)
    if loop == "vae":
        command_line(MODELS[model], steps, lambda step, images: None, device)
    elif loop == "lightning":
        plain_lightning(images, steps, lambda step, images: None)
    else:
        guest = Tutorial(images) if loop == "tutorial" else eager(MODELS[model], images)
        guest.run(steps)
    print(json.dumps(round(peak_memory(device))))


def memory(names: list[str], device: str) -> dict[str, dict[str, int]]:
    """Peak MB of each model by each loop, every one in a process of its own."""
    loops = {name: ["vae", "eager"] for name in names}
    if "gaussian" in loops:
        loops["gaussian"] += ["tutorial", "lightning"]
    return {
        name: {loop: alone(f"print_memory({name!r}, {loop!r}, 40, {device!r})") for loop in row}
        for name, row in loops.items()
    }


def print_aging(*arguments: Any) -> None:
    """Prints ``aging`` as JSON."""
    print(json.dumps(aging(*arguments)))


def bench(
    models: list[str] | None = None,
    rounds: int = 5,
    steps: int = 400,
    parts: list[str] | None = None,
    device: str = "auto",
    output: str | None = None,
    quick: bool = False,
) -> dict[str, Any]:
    """Measures, prints tables, and writes a JSON and a plot beside it.

    Args:
        models: Names among gaussian, gumbel_softmax, rloo and iwae; by default all.
        rounds: Rounds of all loops in turn, after one that warms up.
        steps: Optimiser steps a round of the Gaussian model; the others have fewer.
        parts: What to measure: models, fit_loop, memory, scaling, aging, evaluation; by default
            all.
        device: cpu, cuda, or auto.
        output: The JSON to write; the plot has the same name with .png. By default, of a whole
            measurement, the one of which the README's table is made; of a part, or a quick one,
            none.
        quick: Only shows that everything works, in seconds: one round of a few steps.
    """
    names = models or list(MODELS)
    chosen = parts or PARTS
    for what, given, known in (("model", names, list(MODELS)), ("part", chosen, PARTS)):
        if unknown := [name for name in given if name not in known]:
            raise ValueError(f"unknown {what} {unknown[0]!r}: choose from {', '.join(known)}")
    if rounds < 1 or steps < 1:
        raise ValueError(f"rounds and steps must be at least 1, got {rounds} and {steps}")
    if output is None and not (quick or models or parts):
        output = str(RESULT)
    if output is not None and Path(output).suffix != ".json":
        raise ValueError(f"output {output} must end in .json: the plot takes its name from it")
    path = None if output is None else writable(Path(output))
    device = find_device(device)
    rounds, steps = (1, min(steps, 20)) if quick else (rounds, steps)
    quiet()
    torch.set_flush_denormal(True)  # as the command line does, before torch's threads start
    images = images_on(device)
    result: dict[str, Any] = {
        "hardware": hardware(device),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "rounds": rounds,
        "steps": steps,
        "batch_size": 128,
        "quick": quick,
    }
    seconds = 0.01 if quick else 0.25
    if "models" in chosen:
        result["models"] = compare(names, images, rounds, steps, device, not quick)
    if "fit_loop" in chosen:
        turns, count = (1, steps) if quick else (5 * rounds, 500)
        result["fit_loop_microseconds"] = fit_loop(images, turns, count, device)
    if "scaling" in chosen:
        result["scaling"] = scaling(images, rounds, seconds, device)
    if "evaluation" in chosen:
        result["evaluation"] = evaluation(images, rounds, 2 if quick else 100, device)
    if "memory" in chosen and not quick:  # these two start other processes
        result["memory_megabytes"] = memory(names, device)
    if "aging" in chosen and not quick:
        result["aging"] = {
            name: alone(f"print_aging({flush}, 10, {3 * rounds}, 100, {device!r})")
            for name, flush in (("denormals_flushed", True), ("denormals_kept", False))
        }
    show(result)
    if path is not None:
        write_json(path, result)
        plot(result, NAMES, path.with_suffix(".png"))
        print(f"written {path}, {path.with_suffix('.png').name}")
    return result


if __name__ == "__main__":
    with one_line_errors():
        parser = ScriptParser(description=__doc__)
        parser.add_function_arguments(bench, skip={"models", "parts", "quick"})
        parser.add_argument(
            "--models",
            nargs="+",
            help="Which of gaussian, gumbel_softmax, rloo, iwae (default: all).",
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
