"""The models that ``bench.py`` trains: of this library, and without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from benchmark.raw import IWAE, RLOO, DisARM, Gaussian, GumbelSoftmax, Raw
from vae.training import presets
from vae.training.module import VAEModule

__all__ = ["MODELS", "Model", "build"]


class Model(NamedTuple):
    """One model, twice.

    Attributes:
        title: What it is, for people.
        options: The library's preset and its arguments, ``{"class": ..., **arguments}``.
        raw: Makes it without the library.
        batch_size: Images a step: that of the papers.
        target: The speed that ``make fit`` should have, as a ratio to the raw loop.
    """

    title: str
    options: dict[str, Any]
    raw: Callable[[], Raw]
    batch_size: int = 128
    target: float = 1.0


PAPER = {"hidden": [200, 200], "activation": "tanh", "latent_dim": 50}
RAW_PAPER: dict[str, Any] = {"hidden": (200, 200), "activation": nn.Tanh, "latents": 50}
BINARY = {"latent": "binary", "num_variables": 200, "learned_prior": True, "hidden": [200, 200]}

MODELS: dict[str, Model] = {
    "gaussian": Model("Gaussian, 784-400-20", {"class": "GaussianVAE"}, Gaussian, target=1.05),
    "gumbel_softmax": Model(
        "Gumbel-softmax, 20 x 10", {"class": "DiscreteVAE"}, GumbelSoftmax, target=1.1
    ),
    "rloo": Model(
        "RLOO, 20 x 10, K = 4",
        {"class": "DiscreteVAE", "estimator": "rloo", "num_samples": 4},
        partial(RLOO, num_samples=4),
    ),
    "iwae": Model(
        "IWAE, 784-400-20, K = 50",
        {"class": "GaussianVAE", "objective": "iwae", "num_samples": 50},
        partial(IWAE, num_samples=50),
    ),
    "iwae_paper_k1": Model(
        "IWAE paper's, K = 1",
        {"class": "GaussianVAE", **PAPER},
        partial(Gaussian, **RAW_PAPER),
        batch_size=20,
        target=1.5,
    ),
    "iwae_paper_k50": Model(
        "IWAE paper's, K = 50",
        {"class": "GaussianVAE", "objective": "iwae", "num_samples": 50, **PAPER},
        partial(IWAE, num_samples=50, **RAW_PAPER),
        batch_size=20,
        target=1.2,
    ),
    "disarm_paper": Model(
        "DisARM paper's",
        {"class": "DiscreteVAE", "estimator": "disarm", "activation": "leaky_relu", **BINARY},
        partial(DisARM, hidden=(200, 200), activation=nn.LeakyReLU),
        batch_size=50,
        target=1.2,
    ),
}
"""By name. The first four are 784-400-20-400-784, or 20 one-hot variables of 10 categories. The
IWAE paper's is 784-200-200-50-200-200-784 with tanh; the DisARM paper's has 200 Bernoulli variables
between layers of 784-200-200, leaky ReLU, and a trained prior."""


def build(options: Mapping[str, Any]) -> VAEModule:
    """The library's module, from ``{"class": ..., **arguments}``."""
    given = dict(options)
    return getattr(presets, given.pop("class"))(**given)
