"""How speed scales in batch size, K, latent size, and epochs trained.

The speed of the K-sample log-likelihood is compared with that of its matrix products.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.command_line import images_on
from benchmark.loops import around_bound, without_library
from benchmark.models import MODELS, build
from benchmark.rounds import Loop, clock, rate, steps_in, summary
from vae.devices import asynchronous

__all__ = ["aging", "evaluation", "print_aging", "scaling"]


def scaling(images: Tensor, rounds: int, seconds: float, device: str) -> dict[str, Any]:
    """Images a second along each axis of scaling.

    Of a hand-written loop around the library's bound, in batch size, K and latent size.
    """

    def around(name: str, batch_size: int = 128, **options: int) -> Callable[[], Loop]:
        model = MODELS[name]._replace(options=MODELS[name].options | options)
        return partial(around_bound, model, images, batch_size)

    curves: dict[str, dict[int, Callable[[], Loop]]] = {
        "batch_size": {n: around("gaussian", n) for n in (16, 32, 64, 128, 256, 512, 1024)},
        "num_samples": {k: around("iwae", num_samples=k) for k in (1, 2, 5, 10, 20, 50)},
        "latent_dim": {d: around("gaussian", latent_dim=d) for d in (2, 10, 20, 50, 200)},
    }
    found: dict[str, Any] = {}
    for name, makers in curves.items():
        print(f"scaling in {name} ...", flush=True)
        loops = {x: make() for x, make in makers.items()}
        steps = {x: steps_in(seconds, loop, device) for x, loop in loops.items()}
        values: dict[int, list[float]] = {x: [] for x in loops}
        for _ in range(rounds):
            for x, loop in loops.items():
                values[x].append(rate(loop, steps[x], device))
        found[name] = {str(x): summary(v) for x, v in values.items()}
    return found


def aging(
    flush: bool, epochs: int, rounds: int, steps: int, device: str, images: Tensor | None = None
) -> dict[str, float]:
    """The speed of the raw loop after some epochs, as a ratio to that of the first epoch.

    Call it in a process of its own: ``flush`` must be set before torch starts its threads.

    Arguments:
        flush: Whether denormal numbers are taken for zeros.
        epochs: The age, counting the epoch that is being measured.
        rounds: Rounds of both loops.
        steps: Steps a round.
        device: Where.
        images: By default MNIST's.
    """
    torch.set_flush_denormal(flush)
    images = images_on(device) if images is None else images
    old, fresh = (without_library(MODELS["gaussian"], images) for _ in range(2))
    old.run((epochs - 1) * -(-len(images) // 128))
    ratios = []
    for _ in range(rounds + 1):
        speed = rate(old, steps, device)
        ratios.append(speed / rate(fresh, steps, device))
        fresh = without_library(MODELS["gaussian"], images)
        fresh.run(2)
    return summary(ratios[1:])


def print_aging(*arguments: Any) -> None:
    """Prints :func:`aging` as JSON."""
    print(json.dumps(aging(*arguments)))


def evaluation(
    images: Tensor, rounds: int, num_samples: int, device: str
) -> dict[str, dict[str, dict[str, float]]]:
    """Times the K-sample log-likelihood, at the best of several chunk sizes.

    Decodings a second, and the time as a ratio to that of the decoder's matrix products alone.
    """
    count = 500
    x = (images[:count] > 127).float()
    chunks = (2**13, 2**15) if asynchronous(x.device) else (500, 1000, 2000)
    found = {}
    for name in ("gaussian", "gumbel_softmax"):
        vae = build(MODELS[name].options).to(device).vae.eval()
        layers = [layer for layer in vae.likelihood.modules() if isinstance(layer, nn.Linear)]
        times: dict[int, list[float]] = {chunk: [] for chunk in (0, *chunks)}
        for _ in range(rounds + 1):
            started = clock(device)
            vae.log_likelihood(x, num_samples)
            times[0].append((clock(device) - started) / (count * num_samples))
            for chunk in chunks:
                times[chunk].append(floor(layers, chunk, count * num_samples, device))
        best = min(chunks, key=lambda chunk: summary(times[chunk])["median"])
        pairs = list(zip(times[0], times[best], strict=True))[1:]
        found[name] = {
            "decodings_per_second": summary([1 / a for a, _ in pairs]),
            "ratio_to_floor": summary([a / b for a, b in pairs]),
        }
    return found


@torch.no_grad()
def floor(layers: list[nn.Linear], chunk: int, decodings: int, device: str) -> float:
    """Seconds a decoding, of matrix products only."""
    z = torch.randn(chunk, layers[0].in_features, device=device)
    started = clock(device)
    turns = max(1, decodings // chunk)
    for _ in range(turns):
        h = z
        for layer in layers:
            h = h @ layer.weight.T
    return (clock(device) - started) / (turns * chunk)
