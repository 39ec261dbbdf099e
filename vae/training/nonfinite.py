"""Finds the first tensor that is NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.distributions import Distribution

from vae.devices import generators, set_generators
from vae.distributions.operations import parameters
from vae.estimators import Estimate

__all__ = ["FiniteCheck", "NonFiniteError", "first_non_finite"]


class NonFiniteError(ArithmeticError):
    """The loss or a gradient is NaN or infinite.

    The message names the first such tensor, the step and the batch.
    """


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Distribution):
        yield from parameters(value).values()
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)


def _bad(value: Any) -> str | None:
    for tensor in _tensors(value):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return "NaN" if tensor.isnan().any() else "infinite"
    return None


def first_non_finite(module: nn.Module, x: Tensor) -> str | None:
    """Repeats a training step's forward and backward pass, looking at everything.

    Arguments:
        module: With a method ``bound``, as :class:`vae.training.module.VAEModule`. Its parameters'
            gradients are overwritten; the caller sets the generators and buffers back.
        x: Images ``(B, *image)``.

    Returns:
        What is the first to be NaN or infinite, in the order of computation: the images, a
        parameter or buffer, the output of a layer, the bound, or a parameter's gradient; None if
        all is finite.
    """
    if kind := _bad(x):
        return f"the images are {kind}"
    for word, named in (("parameter", module.named_parameters), ("buffer", module.named_buffers)):
        for name, tensor in named():
            if kind := _bad(tensor):
                return f"{word} {name} is {kind}"
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if not found and (kind := _bad(output)):
                found.append(f"the output of {name} ({type(layer).__name__}) is {kind}")

        return hook

    hooks = [m.register_forward_hook(watch(name)) for name, m in module.named_modules() if name]
    try:
        module.zero_grad()
        estimate: Estimate = module.bound(x)  # type: ignore[operator]
    finally:
        for hook in hooks:
            hook.remove()
    if found:
        return found[0]
    if kind := _bad(estimate.bound):
        return f"the bound is {kind}"
    if kind := _bad(estimate.auxiliary):
        return f"the estimator's own loss is {kind}"
    estimate.loss.backward()
    for name, parameter in reversed(list(module.named_parameters())):  # the order of backward
        if parameter.grad is not None and (kind := _bad(parameter.grad)):
            return f"the gradient of {name} is {kind}"
    return None


class FiniteCheck:
    """Checks a step; after a bad one restores the random state, so that it can be repeated.

    Arguments:
        module: A :class:`vae.training.module.VAEModule`, before the step.
        x: The step's images.
        repeatable: Whether a checkpoint written after a failure must repeat the step. Not where
            the host is to run ahead of the device: the generators' states would be read.
    """

    def __init__(self, module: LightningModule, x: Tensor, repeatable: bool) -> None:
        self.module, self.x = module, x
        self.generators = generators(module.device) if repeatable else {}
        self.estimator = cast(nn.Module, module.estimator)
        self.buffers = [buffer.clone() for buffer in self.estimator.buffers()]

    def assert_finite(self, total: Tensor) -> None:
        """Checks a number, with shape (), that is finite if the step is.

        Raises:
            NonFiniteError: If it is not.
        """
        if math.isfinite(total):
            return
        self._rewind()
        found = first_non_finite(self.module, self.x)
        if self.generators:
            self._rewind()
        raise NonFiniteError(
            f"{found or 'the sum of bound and gradients is not finite'}, at step"
            f" {self.module.global_step} (epoch {self.module.current_epoch}, batch of"
            f" {len(self.x)} images)"
        )

    def _rewind(self) -> None:
        for buffer, value in zip(self.estimator.buffers(), self.buffers, strict=True):
            buffer.copy_(value)
        if self.generators:
            set_generators(self.generators, self.module.device)
