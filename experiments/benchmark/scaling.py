"""How speed scales in batch size, K, latent size, the number of models, and epochs trained.

The speed of the K-sample log-likelihood is compared with that of its matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from benchmark.loops import MODELS, build, eager, images_on
from benchmark.peers import OnBatchEnd
from benchmark.rounds import Loop, Rounds, against_eager, clock, rate, summary
from vae.data.mnist import MNISTDataModule
from vae.devices import asynchronous

__all__ = ["aging", "evaluation", "scaling"]


def scaling(images: Tensor, rounds: int, seconds: float, device: str) -> dict[str, Any]:
    """Images a second along each axis of scaling.

    Of the reference loop, in batch size, K and latent size; of ``vae.training.many.module``, in the
    number of models.
    """
    gaussian, iwae = MODELS["gaussian"], MODELS["iwae"]
    curves: dict[str, dict[int, Callable[[], Loop]]] = {
        "batch_size": {
            n: partial(eager, gaussian, images, n) for n in (16, 32, 64, 128, 256, 512, 1024)
        },
        "num_samples": {
            k: partial(eager, iwae | {"num_samples": k}, images) for k in (1, 2, 5, 10, 20, 50)
        },
        "latent_dim": {
            d: partial(eager, gaussian | {"latent_dim": d}, images) for d in (2, 10, 20, 50, 200)
        },
    }
    found: dict[str, Any] = {}
    for name, makers in curves.items():
        print(f"scaling in {name} ...", flush=True)
        loops = {x: make() for x, make in makers.items()}
        steps, values = {}, {x: [] for x in loops}  # type: dict[int, int], dict[int, list[float]]
        for x, loop in loops.items():
            loop.run(1)
            started = clock(device)
            loop.run(1)
            steps[x] = max(1, round(seconds / (clock(device) - started)))
        for _ in range(rounds):
            for x, loop in loops.items():
                values[x].append(rate(loop, steps[x], device))
        found[name] = {str(x): summary(v) for x, v in values.items()}
    try:
        found["models"] = together(images, rounds, seconds, device)
    except ImportError as error:
        print(f"no scaling in the number of models: {error}")
    return found


def together(images: Tensor, rounds: int, seconds: float, device: str) -> dict[str, Any]:
    """Images a second of S models trained at once, summed over the models.

    The second number is the ratio to one model in the reference loop.
    """
    from vae.training.many.data import EnsembleData
    from vae.training.many.module import Ensemble, seeded

    found = {}
    for S in (1, 2, 4, 8, 16):
        print(f"{S} models at once ...", flush=True)
        members = [seeded(s, partial(build, MODELS["gaussian"])) for s in range(S)]
        data = EnsembleData([MNISTDataModule(num_val=400, seed=s) for s in range(S)])
        single = eager(MODELS["gaussian"], images)
        single.run(1)
        steps = max(1, round(seconds * rate(single, 5, device) / 128 / S))
        turns = Rounds("ensemble", steps, {"eager": (single, steps * S)}, device)
        trainer = Trainer(
            max_steps=steps * (rounds + 1),
            accelerator="gpu" if asynchronous(torch.device(device)) else "cpu",
            callbacks=[OnBatchEnd(turns.on_step, lambda x: x.shape[0] * x.shape[1])],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
        )
        trainer.fit(Ensemble(*map(list, zip(*members, strict=True))), datamodule=data)
        found[str(S)] = against_eager(turns.rates)["ensemble"]
    return found


def aging(
    flush: bool, epochs: int, rounds: int, steps: int, device: str, images: Tensor | None = None
) -> dict[str, float]:
    """The speed of the reference loop after some epochs, as a ratio to that of the first epoch.

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
    old, fresh = (eager(MODELS["gaussian"], images) for _ in range(2))
    old.run((epochs - 1) * -(-len(images) // 128))
    ratios = []
    for _ in range(rounds + 1):
        speed = rate(old, steps, device)
        ratios.append(speed / rate(fresh, steps, device))
        fresh = eager(MODELS["gaussian"], images)
        fresh.run(2)
    return summary(ratios[1:])


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
        vae = build(MODELS[name]).to(device).vae.eval()
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
