"""Random numbers that follow from a seed, and leave the global generators as they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vae.devices import asynchronous

__all__ = ["draw_seed", "fixed_noise", "mix_seeds", "reseed"]


def mix_seeds(*parts: int) -> int:
    """Mixes integers into a seed: neighbouring (seed, epoch, batch) give unrelated generators."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def draw_seed() -> int:
    """A seed from torch's global generator."""
    return int(torch.randint(2**63 - 1, ()))


@contextmanager
def fixed_noise(device: torch.device, seed: int) -> Iterator[None]:
    """A context that draws from its own seed and restores the global generators at its end.

    An evaluation during training neither depends on the training's random numbers nor uses any up.
    """
    devices = [device] if asynchronous(device) else []
    with torch.random.fork_rng(devices, device_type=device.type):
        reseed(device, seed)
        yield


def reseed(device: torch.device, seed: int) -> None:
    """Seeds the global generators that computations on the device draw from."""
    if asynchronous(device):
        torch.manual_seed(seed)
    else:  # which also seeds GPUs to come, and takes milliseconds to do so
        torch.default_generator.manual_seed(seed)
