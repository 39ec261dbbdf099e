"""Runs of a training step that leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vae.devices import generators, set_generators

__all__ = ["remember"]


def remember(module: nn.Module, optimizer: Optimizer, device: torch.device) -> Callable[[], None]:
    """What sets parameters, buffers, the optimiser's state and the generators back to what they are.

    Arguments:
        module: Whose parameters and buffers; their gradients are taken away.
        optimizer: Whose state. One that does not exist yet must start from zeros, as Adam's does.
        device: Whose generator, beside the CPU's.
    """
    values = [(t, t.detach().clone()) for t in (*module.parameters(), *module.buffers())]
    known: dict[Tensor, dict[str, Any]] = {
        parameter: {k: v.clone() for k, v in state.items() if isinstance(v, Tensor)}
        for parameter, state in optimizer.state.items()
    }
    states = generators(device)

    @torch.no_grad()
    def restore() -> None:
        for tensor, value in values:
            tensor.copy_(value)
            tensor.grad = None
        for parameter, state in optimizer.state.items():
            before = known.get(parameter, {})
            for name, value in state.items():
                if isinstance(value, Tensor):
                    value.copy_(before[name]) if name in before else value.zero_()
        set_generators(states, device)

    return restore
