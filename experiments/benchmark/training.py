"""This library's loop against one without a library, step by step and epoch by epoch.

Several trainings cannot pause inside each other. So each way to run ours is a training of its own,
inside which the raw loop takes its turns; ratios are taken within it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from benchmark.command_line import fit, images_on, whole_batches
from benchmark.loops import Eager, Graph, around_bound, without_library
from benchmark.models import MODELS
from benchmark.peers import Tutorial, plain_lightning
from benchmark.rounds import LOGGED, Loop, Rounds, against, steps_in, summary
from vae.devices import takes_graphs

__all__ = ["compare", "epoch", "refusals", "step_cost", "trained", "ways"]

WAYS: dict[str, dict[str, str]] = {
    "fit": {"model.compile": "false"},
    "fit_bound": {"model.compile": "true"},
    "fit_step": {"model.compile": "step"},
}
"""Ways to run ``vae fit``, and their flags."""

NULL = {"class": "GaussianVAE", "latent_dim": 1, "hidden": [1]}
"""A model with next to nothing to compute."""


def ways(device: str, compiles: bool = True) -> dict[str, dict[str, str]]:
    """Those that there are on a device, with or without those that compile."""
    capture = {"model.capture": "true"}
    graphs = {
        "fit_capture": {"model.compile": "false", **capture},
        "fit_capture_step": {"model.compile": "step", **capture},
    }
    known = WAYS | (graphs if takes_graphs(torch.device(device)) else {})
    slow = () if compiles else ("fit_bound", "fit_step", "fit_capture_step")
    return {way: flags for way, flags in known.items() if way not in slow}


def compare(
    name: str, images: Tensor, rounds: int, seconds: float, device: str, quick: bool = False
) -> dict[str, dict[str, Any]]:
    """A model by each loop: images a second, and ratio to the raw loop.

    Arguments:
        name: Of one of ``MODELS``.
        images: uint8, with shape (N, 1, 28, 28), on the device.
        rounds: Rounds, after one that warms up.
        seconds: How long each loop runs in a round.
        device: Where.
        quick: Leave out what compiles.
    """
    model = MODELS[name]
    num_val = whole_batches(model.batch_size)
    images = images[: len(images) // model.batch_size * model.batch_size]
    raw = without_library(model, images)
    steps = steps_in(seconds, raw, device, every=1 if quick else LOGGED)
    found: dict[str, dict[str, Any]] = {}
    for way, flags in ways(device, compiles=not quick).items():
        guests: dict[str, tuple[Loop, int]] = {"raw": (without_library(model, images), steps)}
        if way == "fit":
            guests |= _others(name, images, steps, device)
        turns = Rounds(way, steps, guests, device)
        limits = {"trainer.max_steps": steps * (rounds + 1), "trainer.max_epochs": -1}
        sizes = {"data.num_val": num_val, "data.batch_size": model.batch_size}
        if trained(name, way, turns, model.options, device, {**flags, **sizes, **limits}):
            for row, numbers in against("raw", turns.rates).items():
                found.setdefault(row, numbers)
    if name == "gaussian":
        found["lightning"] = _lightning(images, rounds, max(1, steps // 4), device)
    return found


def _others(name: str, images: Tensor, steps: int, device: str) -> dict[str, tuple[Loop, int]]:
    """The loops that show where the difference lies, and a tutorial's."""
    model = MODELS[name]
    guests: dict[str, tuple[Loop, int]] = {"bound": (around_bound(model, images), steps)}
    if takes_graphs(torch.device(device)):
        try:
            guests["raw_graph"] = (without_library(model, images, Graph), steps)
        except RuntimeError as error:
            print(f"{name}: no CUDA graph ({str(error).splitlines()[0]})")
    if name == "gaussian":
        raw = model.raw().to(device)
        grey = Eager(raw, raw.parameters(), images, model.batch_size, binarized=False)
        guests["raw_grey"] = (grey, steps)
        guests["tutorial"] = (Tutorial(images), max(1, steps // 4))
    return guests


def _lightning(images: Tensor, rounds: int, steps: int, device: str) -> dict[str, Any]:
    raw = without_library(MODELS["gaussian"], images)
    turns = Rounds("lightning", steps, {"raw": (raw, steps)}, device)
    plain_lightning(images, steps * (rounds + 1), turns.on_step)
    return dict(against("raw", turns.rates)["lightning"])


def trained(
    name: str,
    way: str,
    turns: Rounds,
    model: Mapping[str, Any],
    device: str,
    options: Mapping[str, Any],
) -> bool:
    """Trains by ``vae fit``, and says whether it worked."""
    with refusals(name, way):
        fit(model, turns.on_step, device, options)
        return True
    return False


@contextmanager
def refusals(name: str, way: str) -> Iterator[None]:
    """Makes a line of what a version or a model refuses, and goes on after the block."""
    try:
        yield
    except SystemExit as error:  # the parser's, which has said why
        if error.code != 2:
            raise
        print(f"{name}: no row {way}, as these flags were refused", flush=True)
    except (ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        print(f"{name}: no row {way}, as it failed: {reason}", flush=True)


def epoch(
    rounds: int, device: str, steps: int | None = None, quick: bool = False
) -> dict[str, Any]:
    """Seconds of a whole epoch of ``make train-gaussian``: steps, validation, checkpoints.

    From the end of an epoch's last step to the end of the next one's, as a person waits for it,
    beside the raw loop's steps on the same 50,000 images.

    Arguments:
        rounds: Epochs, after one that warms up.
        device: Where.
        steps: Batches of an epoch, if it is to be shorter.
        quick: Leave out what compiles.
    """
    images, model = images_on(device, num_val=10000), MODELS["gaussian"]
    batches = steps or -(-len(images) // model.batch_size)
    found: dict[str, Any] = {}
    for way, flags in ways(device, compiles=not quick).items():
        if way == "fit_bound":
            continue
        turns = Rounds(way, batches, {"raw": (without_library(model, images), batches)}, device)
        options = {**flags, "trainer.max_epochs": rounds + 1}
        options |= {"trainer.limit_train_batches": steps} if steps else {}
        if not trained("an epoch", way, turns, model.options, device, options):
            continue
        count = min(len(images), batches * model.batch_size)
        for row, numbers in against("raw", turns.rates).items():
            seconds = summary([count / value for value in turns.rates[row]])
            found.setdefault(row, {"seconds": seconds, "ratio": numbers["ratio"]})
    return found


def step_cost(images: Tensor, rounds: int, steps: int, device: str) -> dict[str, float]:
    """Microseconds that a step of ours takes beyond that of a loop around the same bound.

    Of a model without work, so that what is left is the loop.
    """
    size = 8
    null = MODELS["gaussian"]._replace(options=NULL, batch_size=size)
    turns = Rounds("fit", steps, {"bound": (around_bound(null, images), steps)}, device)
    limits = {"trainer.max_steps": steps * (rounds + 1), "trainer.max_epochs": -1}
    flags = {"model.compile": "false", "data.num_val": 400, "data.batch_size": size}
    fit(NULL, turns.on_step, device, flags | limits)
    pairs = zip(turns.rates["fit"], turns.rates["bound"], strict=True)
    return summary([1e6 * size * (1 / a - 1 / b) for a, b in pairs])
