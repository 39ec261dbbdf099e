"""The optimiser and the learning-rate schedule of a module, and which of them can be used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

__all__ = [
    "assert_capturable",
    "build_optimizer",
    "build_scheduler",
    "is_elementwise",
    "plain_numbers",
]

MakeOptimizer = Callable[[Iterable], Optimizer]
MakeScheduler = Callable[[Optimizer], LRScheduler]


def build_optimizer(make: MakeOptimizer, groups: list[dict[str, Any]]) -> Optimizer:
    """Makes an optimiser of groups of parameters.

    Raises:
        MisconfigurationException: If it needs a closure, which evaluates the loss again.
    """
    optimizer = make(groups)
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise MisconfigurationException(
            f"{type(optimizer).__name__} evaluates the loss several times a step, by a closure, and"
            " the bound is another at each evaluation: use another optimizer"
        )
    return optimizer


def build_scheduler(make: MakeScheduler, optimizer: Optimizer) -> LRScheduler:
    """Makes the schedule of an optimiser's learning rates.

    Raises:
        MisconfigurationException: If it follows a metric.
    """
    scheduler = make(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        raise MisconfigurationException(
            "ReduceLROnPlateau follows a metric, and schedulers here are stepped at every optimiser"
            " step: use another scheduler, such as CosineAnnealingLR"
        )
    return scheduler


def assert_capturable(optimizer: Optimizer, scheduler: LRScheduler | None = None) -> None:
    """Refuses optimisers and schedules that a CUDA graph would not replay correctly.

    Raises:
        MisconfigurationException: If the learning rate, a number in the graph, changes; or for an
            optimiser whose state does not start from zeros (:class:`vae.training.capture`).
    """
    if scheduler is not None:
        raise MisconfigurationException(
            "a captured step keeps its learning rate: leave out --model.scheduler, or"
            " --model.capture"
        )
    if type(optimizer) not in (Adam, AdamW):
        raise MisconfigurationException(
            f"a captured step takes Adam or AdamW, not {type(optimizer).__name__}: leave out"
            " --model.capture"
        )


def is_elementwise(make: MakeOptimizer) -> bool:
    """Whether an optimiser updates a stack of tensors as it updates each of them alone.

    Tried on random numbers, for a few steps.
    """
    generator = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn(5, 2, 3, 4, generator=generator).unbind()

    def trained(values: Tensor, gradients: list[Tensor]) -> Tensor:
        parameter = values.clone().requires_grad_()
        optimizer = make([{"params": [parameter]}])
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
        return parameter.detach()

    try:
        stacked = trained(start, gradients)
        alone = [trained(start[s], [g[s] for g in gradients]) for s in range(2)]
    except Exception:  # of one that takes only matrices, or has its own demands
        return False
    return torch.allclose(stacked, torch.stack(alone), rtol=1e-5, atol=1e-7)


def plain_numbers(value: Any) -> Any:
    """A state with Python's numbers in place of NumPy's, which no checkpoint may hold.

    A learning rate of ``np.logspace`` is one. Mappings and lists are changed in place.
    """
    if isinstance(value, dict):
        for key, part in value.items():
            value[key] = plain_numbers(part)
    elif isinstance(value, list):
        value[:] = map(plain_numbers, value)
    elif type(value) is tuple:
        return tuple(map(plain_numbers, value))
    elif type(value).__module__ == "numpy" and isinstance(value, (Integral, Real)):
        return int(value) if isinstance(value, Integral) else float(value)
    return value
