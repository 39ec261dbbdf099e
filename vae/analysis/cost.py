"""The cost of a gradient: time, memory and decodings."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae.devices import asynchronous, synchronize
from vae.estimators import Estimator
from vae.models.bound import bound
from vae.models.vae import VAE
from vae.objectives import Objective

__all__ = ["Cost", "cost"]


class Cost(NamedTuple):
    """What one gradient of one batch costs.

    Attributes:
        milliseconds: The median time; of one thread on a CPU, its processor time.
        megabytes: What is kept for the backward pass; on a GPU, the peak. None on a CPU where
            torch.func computes the gradient, whose memory cannot be watched.
        evaluations: Decodings an image.
    """

    milliseconds: float
    megabytes: float | None
    evaluations: float


class _Counting(nn.Module):
    """A model that counts its decodings."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae, self.count = vae, 0

    def posterior(self, x: Tensor) -> Distribution:
        return self.vae.posterior(x)

    def prior(self) -> Distribution:
        return self.vae.prior()

    def kl(self, q: Distribution) -> Tensor:
        return self.vae.kl(q)

    def kl_per_variable(self, q: Distribution) -> Tensor:
        return self.vae.kl_per_variable(q)

    def decode(self, z: Tensor) -> Distribution:
        self.count += z.shape[0] * z.shape[1]  # (K, B, *event)
        return self.vae.decode(z)


def cost(
    vae: VAE, objective: Objective, estimator: Estimator, x: Tensor, repeats: int = 10
) -> Cost:
    """Measures the forward and the backward pass of the bound of a batch, in every parameter."""
    device = torch.get_device_module(x.device)
    counts = asynchronous(x.device) and hasattr(device, "max_memory_allocated")
    counted, watched = _Counting(vae), True
    saved: dict[
        int, int
    ] = {}  # bytes of each storage, but for the weights', which are there anyway
    weights = {p.untyped_storage().data_ptr() for p in vae.parameters()}
    times: list[float] = []
    # of one thread, its own time: what else the machine does is no cost of an estimator
    alone = x.device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter

    def keep(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return t

    for turn in range(repeats + 1):
        first = turn == 0  # counts, and warms up
        if counts:
            device.reset_peak_memory_stats()
        synchronize(x.device)
        started = clock()
        if first:
            try:
                with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
                    estimate = bound(counted, objective, estimator, x)
            except RuntimeError:  # torch.func forbids the hooks
                counted, watched = _Counting(vae), False
                estimate = bound(counted, objective, estimator, x)
        else:
            estimate = bound(vae, objective, estimator, x)
        estimate.bound.mean().backward()
        vae.zero_grad(set_to_none=True)
        synchronize(x.device)
        if not first:
            times.append(clock() - started)
    kept = device.max_memory_allocated() if counts else sum(saved.values())
    megabytes = kept / 2**20 if counts or watched else None
    return Cost(1e3 * sorted(times)[len(times) // 2], megabytes, counted.count / len(x))
