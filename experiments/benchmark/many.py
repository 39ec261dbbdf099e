"""``vae train-many`` against one model after the other: by ``vae fit``, and by the raw loop."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from benchmark.command_line import own_folder, silence, whole_batches, words_of
from benchmark.loops import without_library
from benchmark.models import MODELS
from benchmark.rounds import LOGGED, Rounds, against, multiple, steps_in, summary
from benchmark.training import refusals, trained, ways
from vae.cli.train_many import ManyCLI
from vae.devices import asynchronous

__all__ = ["together"]


def train_many(S: int, turns: Rounds, device: str, options: dict[str, Any]) -> None:
    """Trains S Gaussian models as ``vae train-many`` does, by the same code."""

    def on_step(step: int, x: Tensor) -> None:  # images of all models, (S, B, *image)
        turns.on_step(step, x.shape[0] * x.shape[1])

    class CommandLine(ManyCLI):
        def instantiate_trainer(self, **kwargs: Any) -> Trainer:
            self.model.after_step.append(on_step)
            return super().instantiate_trainer(**kwargs)

    given = {
        "data": "MNISTDataModule",
        "trainer.accelerator": "gpu" if asynchronous(torch.device(device)) else "cpu",
        "seeds": S,
        "trainer.limit_test_batches": 0,
        "name": "bench",
        **options,
    }
    torch.compiler.reset()
    with own_folder(), silence():
        CommandLine(["fit", "--model", MODELS["gaussian"].options["class"], *words_of(given)])


def together(
    images: Tensor,
    rounds: int,
    seconds: float,
    device: str,
    sizes: tuple[int, ...] = (1, 4, 16),
    quick: bool = False,
) -> dict[str, Any]:
    """Images a second of S models trained at once, summed over the models.

    ``ratio`` is to one model after the other in the raw loop, in the same round; ``ratio_to_fit``
    to one after the other by ``vae fit`` in the fastest of its ways, the quotient of the two ratios
    to the raw loop.

    Arguments:
        images: uint8, with shape (N, 1, 28, 28), on the device.
        rounds: Rounds, after one that warms up.
        seconds: How long each loop runs in a round.
        device: Where.
        sizes: The numbers S of models.
        quick: Leave out what compiles.

    Returns:
        By way to train them: those of one model (``one_at_a_time``), and ``eager`` and ``compiled``
        by S.
    """
    model = MODELS["gaussian"]
    every = 1 if quick else LOGGED
    steps = steps_in(seconds, without_library(model, images), device, every)

    def turns(host: str, count: int, S: int = 1) -> tuple[Rounds, dict[str, Any]]:
        guests = {"raw": (without_library(model, images), count * S)}
        limits = {"trainer.max_steps": count * (rounds + 1), "trainer.max_epochs": -1}
        sizes = {"data.num_val": whole_batches(model.batch_size)}
        return Rounds(host, count, guests, device), limits | sizes

    alone: dict[str, Any] = {}
    for way in ways(device, compiles=not quick):
        if way == "fit_bound":
            continue
        own, options = turns(way, steps)
        if trained("one model", way, own, model.options, device, ways(device)[way] | options):
            alone[way] = against("raw", own.rates)[way]
    best = max(row["ratio"]["median"] for row in alone.values())
    found: dict[str, Any] = {"one_at_a_time": alone}
    for way, compiled in (("eager", "false"), ("compiled", "true")):
        for S in sizes:
            if quick and compiled == "true":
                continue
            print(f"{S} models at once, {way} ...", flush=True)
            count = multiple(steps / S, every)
            mapped, options = turns("many", count, S)
            with refusals(f"{S} models at once", way):
                train_many(S, mapped, device, {"compile": compiled} | options)
                row = against("raw", mapped.rates)["many"]
                row["ratio_to_fit"] = summary([r / best for r in _ratios(mapped)])
                found.setdefault(way, {})[str(S)] = row
    return found


def _ratios(turns: Rounds) -> list[float]:
    rates = turns.rates
    return [a / b for a, b in zip(rates["many"], rates["raw"], strict=True)]
