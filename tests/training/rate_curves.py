"""Trains some hundred models on the digits, and writes val/rate after each of 80 epochs to
``rate_curves.json``: what the rule of CollapseWatch is judged by. Takes half an hour of one core:
``python tests/training/rate_curves.py``.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from vae.data.digits import DigitsDataModule
from vae.evaluation import terms as evaluation
from vae.models.schedules import fill
from vae.training.presets import ContinuousVAE, DiscreteVAE, GaussianVAE, VAEModule

EPOCHS, SEED = 80, 0
IMAGE = {"image_shape": (1, 8, 8), "test_samples": 2}
ONE_HOT = {"num_variables": 6, "num_categories": 4, "hidden": [64]}
BINARY = {"latent": "binary", "num_variables": 20, "hidden": [64]}


def models() -> Iterator[tuple[str, Callable[[], VAEModule]]]:
    """Many that are healthy, among them slow ones; and some whose beta collapses them."""
    for lr in (1e-4, 3e-4, 1e-3, 3e-3):
        eight = {"latent_dim": 8, "lr": lr, **IMAGE}
        gaussian = partial(GaussianVAE, **eight)
        for hidden in ([128], [16], [64, 64]):
            yield f"gaussian8 {hidden} lr{lr}", partial(gaussian, hidden=hidden)
        yield (
            f"gaussian2 lr{lr}",
            partial(GaussianVAE, **{**eight, "latent_dim": 2, "hidden": [64]}),
        )
        yield f"gaussian-conv lr{lr}", partial(gaussian, network="conv", hidden=[8, 16])
        yield f"gaussian-tanh lr{lr}", partial(gaussian, hidden=[64], activation="tanh")
        for beta in (2.0, 4.0, 0.5):
            yield f"gaussian beta{beta} lr{lr}", partial(gaussian, hidden=[64], beta=beta)
        yield f"gaussian warm lr{lr}", partial(gaussian, hidden=[64], beta_warmup=500)
        four = {**eight, "latent_dim": 4, "hidden": [64]}
        yield (
            f"gaussian rloo lr{lr}",
            partial(GaussianVAE, estimator="rloo", num_samples=4, **four),
        )
        iwae = {"objective": "iwae", "num_samples": 5, "hidden": [64]}
        yield f"gaussian iwae lr{lr}", partial(gaussian, **iwae)
        for family in ("gamma", "beta", "dirichlet", "von_mises", "poisson"):
            own = {"latent_options": {"num_variables": 4}, "hidden": [64], "lr": lr, **IMAGE}
            K = 4 if family in ("von_mises", "poisson") else 1
            yield f"{family} lr{lr}", partial(ContinuousVAE, latent=family, num_samples=K, **own)
        for given, names in (
            (ONE_HOT, "gumbel_softmax rloo reinforce reinforce_moving_average straight_through"),
            (BINARY, "disarm rloo reinforce st_gumbel"),
        ):
            for name in names.split():
                K = 4 if name == "rloo" else 1
                options = {"estimator": name, "num_samples": K, "lr": lr, **given, **IMAGE}
                yield (
                    f"{given.get('latent', 'one_hot')} {name} lr{lr}",
                    partial(DiscreteVAE, **options),
                )
    for lr, beta in itertools.product((1e-3, 3e-3, 1e-2), (10.0, 30.0, 100.0, 1000.0)):
        given = {"beta": beta, "lr": lr, **IMAGE}
        yield (
            f"COLLAPSE gaussian beta{beta} lr{lr}",
            partial(GaussianVAE, latent_dim=8, hidden=[64], **given),
        )
        yield f"COLLAPSE onehot beta{beta} lr{lr}", partial(DiscreteVAE, **ONE_HOT, **given)


def curve(make: Callable[[], VAEModule], seed: int) -> list[float]:
    """val/rate after each epoch, of 21 steps."""
    torch.manual_seed(seed)
    module, data, rates = make(), DigitsDataModule(seed=seed), []
    data.setup()
    (images,) = data.loader("val")
    loader, optimizer = data.loader("train", train=True), module.build_optimizer()
    for epoch in range(EPOCHS):
        loader.epoch = lambda epoch=epoch: epoch
        for number, x in enumerate(loader, epoch * len(loader)):
            fill(module, module.schedules, number)
            estimate = module.bound(x)
            optimizer.zero_grad()
            estimate.loss.backward()
            optimizer.step()
        module.eval()
        with evaluation.fixed_noise(images.device, 0):
            rates.append(float(f"{evaluation.elbo_terms(module.vae, images).rate.mean():.3g}"))
        module.train()
    return rates


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    runs = {name: curve(make, SEED) for name, make in models()}
    path = Path(__file__).with_suffix(".json")
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(rates)}" for name, rates in runs.items())
    path.write_text(f'{{"every": 21, "runs": {{\n{text}\n}}}}\n')
