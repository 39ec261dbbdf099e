"""What differs from device to device, asked of the device's own module: CUDA, XPU, MPS, or one that
torch does not know by name."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "asynchronous",
    "double",
    "generators",
    "keep_freed_memory",
    "set_generators",
    "synchronize",
    "takes_graphs",
]


def asynchronous(device: torch.device) -> bool:
    """Whether the host goes on while the device computes: there, reading a number makes it wait,
    and many small operations cost more than a few large ones."""
    return device.type != "cpu"


def synchronize(device: torch.device) -> None:
    """Waits for all that was asked of the device."""
    if asynchronous(device):
        torch.get_device_module(device).synchronize()


def takes_graphs(device: torch.device) -> bool:
    """Whether a step can be recorded as a graph of its kernels (:mod:`vae.training.capture`)."""
    return hasattr(torch.get_device_module(device), "CUDAGraph")


def double(x: Tensor) -> Tensor:
    """In float64: where it is or, of a device that has no such numbers (MPS), on the CPU."""
    try:
        return x.double()
    except TypeError:
        return x.cpu().double()


def keep_freed_memory() -> None:
    """Makes glibc reuse memory instead of giving it back to the system at every ``free``: the page
    faults would cost as much as half the matrix products.

    Its limits follow the largest block that was ever freed, up to 32 MB. Elsewhere, nothing
    happens."""
    torch.empty(2**25 - 2**14, dtype=torch.uint8)


def generators(device: torch.device) -> dict[str, Tensor]:
    """The states of the generators that a computation on the device draws from, by type of
    device."""
    states = {"cpu": torch.get_rng_state()}
    if asynchronous(device):
        states[device.type] = torch.get_device_module(device).get_rng_state(device)
    return states


def set_generators(states: dict[str, Tensor], device: torch.device) -> None:
    """Sets those that :func:`generators` returned, whatever device they are kept on; those of
    another type of device are left alone."""
    torch.set_rng_state(states["cpu"].cpu().clone())  # it misreads a view of another tensor
    if asynchronous(device) and device.type in states:
        state = states[device.type].cpu().clone()
        torch.get_device_module(device).set_rng_state(state, device)
