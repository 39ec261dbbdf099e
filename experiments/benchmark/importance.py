"""What log p(x) by K samples costs, in a process of its own."""

from __future__ import annotations

import json
import statistics
import time

import torch

from benchmark.memory import peak_memory
from vae import VAE, Bernoulli, DiagonalGaussian, MLPDecoder, MLPEncoder, OneHot
from vae.devices import synchronize
from vae.evaluation.importance import importance_weighted
from vae.models.memory import floats_per_decoding

__all__ = ["LATENTS", "print_cost"]

SHAPE = (1, 28, 28)
LATENTS = {
    "gaussian": ("784-400-20, Gaussian", lambda width: DiagonalGaussian(width, 20)),
    "one_hot": ("784-400-20 x 10, one-hot", lambda width: OneHot(width, 20, 10)),
}
"""Models, by name: a title and their latent layer."""


def print_cost(name: str, num_samples: int, decodings: int, rounds: int, device: str) -> None:
    """Prints the seconds of one image, the peak memory in MB, and that before the first sample.

    The model is untrained, and the images are noise: neither matters to the cost.

    Arguments:
        name: One of ``LATENTS``.
        num_samples: K.
        decodings: The most in a round, images times samples, beyond one image's.
        rounds: How often it is measured, after once to warm up; the median counts.
        device: Where.
    """
    torch.manual_seed(0)
    encoder = MLPEncoder(SHAPE)
    latent = LATENTS[name][1](encoder.out_features)
    decoder = MLPDecoder(latent.code_features, SHAPE)
    vae = VAE(encoder, latent, Bernoulli(decoder)).eval().to(device)
    images = min(max(1, decodings // num_samples), 200)
    x = torch.rand(images, *SHAPE).round().to(device)
    importance_weighted(vae, x[:1], [10], seed=0)  # what torch loads at first use
    before, seconds = peak_memory(device), []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        importance_weighted(vae, x, [num_samples], seed=0)
        synchronize(x.device)
        seconds.append((time.perf_counter() - started) / len(x))
    found = {
        "seconds_an_image": statistics.median(seconds[1:]),
        "images": len(x),
        "peak_megabytes": peak_memory(device),
        "megabytes_before": before,
        "megabytes_a_decoding": 4 * floats_per_decoding(vae) / 2**20,
    }
    print(json.dumps(found))
