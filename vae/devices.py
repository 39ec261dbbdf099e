"""What differs between devices, asked of the device's own module.

So CUDA, XPU, MPS and devices that torch does not know by name are treated alike.
"""

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
    """Whether the host goes on while the device computes.

    There, reading a number makes the host wait, and many small operations cost more than a few
    large ones.
    """
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
    """Makes glibc reuse memory instead of giving it back to the system at every ``free``.

    The page faults would cost as much as half the matrix products. What glibc keeps follows the
    largest block that was ever freed, up to 32 MB; with other C libraries, nothing happens.
    """
    torch.empty(2**25 - 2**14, dtype=torch.uint8)


def generators(device: torch.device) -> dict[str, Tensor]:
    """The states of the generators that the device's computations draw from, by device type."""
    states = {"cpu": torch.get_rng_state()}
    if asynchronous(device):
        states[device.type] = torch.get_device_module(device).get_rng_state(device)
    return states


def set_generators(states: dict[str, Tensor], device: torch.device) -> None:
    """Sets the states that :func:`generators` returned, whatever device they are kept on.

    The states of other types of device are left alone.
    """
    torch.set_rng_state(states["cpu"].cpu().clone())  # it misreads a view of another tensor
    if asynchronous(device) and device.type in states:
        state = states[device.type].cpu().clone()
        torch.get_device_module(device).set_rng_state(state, device)
