"""One optimiser step of a VAE: bound, backward pass, clipping and update, however they are run.

* :class:`Step`: as plain torch; the bound may be compiled.
* :class:`LightningStep`: with Lightning's hooks, several processes, and mixed precision.
* :class:`GraphStep`: as a CUDA graph, of any of these but Lightning's.
* :class:`vae.training.whole.WholeStep`: as one compiled graph, the optimiser's update in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from vae.estimators import Estimate
from vae.training.capture import CapturedStep
from vae.training.traced import CompileError, reason_of

__all__ = ["GraphStep", "LightningStep", "Step", "clip_", "laid_out_as"]


class Trained(Protocol):
    """What a step needs of a module."""

    gradient_clip_norm: float | None

    @property
    def vae(self) -> nn.Module: ...

    def bound(self, x: Tensor) -> Estimate: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


def clip_(gradients: Sequence[Tensor], limit: float, foreach: bool | None = None) -> None:
    """Scales gradients, in place, so that their common norm is at most ``limit``.

    Arguments:
        gradients: Of any shapes.
        limit: The largest norm.
        foreach: As of :func:`torch.nn.utils.get_total_norm`; False inside ``vmap``.
    """
    norm = torch.nn.utils.get_total_norm(gradients, foreach=foreach)
    factor = (limit / (norm + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factor)


def laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient, in memory as the parameter is: a fused optimiser goes through both in order.

    Autograd sees to it by itself where it fills ``grad``.
    """
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


class Step:
    """Takes optimiser steps.

    Arguments:
        module: What is trained; on its device.
        optimizer: Its optimiser.
        compiled: Whether the bound is compiled (torch.compile).
        took: Called after each step.

    Attributes:
        seconds: What it took to compile, where that is known.
    """

    seconds = 0.0

    def __init__(
        self,
        module: Trained,
        optimizer: Optimizer,
        compiled: bool = False,
        took: Callable[[], None] = lambda: None,
    ) -> None:
        self.module, self.optimizer, self.took = module, optimizer, took
        self.parameters = list(module.parameters())
        # what is wrong in a layer's gradient is wrong in its bias's, at a fraction of the cost
        self.watched = [p for p in self.parameters if p.dim() == 1]
        self.bound: Callable[[Tensor], Estimate] = module.bound
        self.untried = compiled
        if compiled:  # with torch's own random numbers; an epoch's smaller last batch is a graph
            options: dict[str, Any] = {"fallback_random": True}
            # torch 2.11 returns no tuples with names
            function: Callable[[Tensor], Any] = lambda x: tuple(module.bound(x))
            plain = torch.compile(function, dynamic=False, options=options)
            self.bound = lambda x: Estimate(*plain(x))

    def __call__(self, x: Tensor, check: Callable[[Tensor], None] | None = None) -> Tensor:
        """Takes one step at images ``(B, *image)``.

        Arguments:
            x: The images.
            check: Called before the update with a number, of shape (), that is finite if the bound
                and the gradient are.

        Returns:
            The bound, with shape (), in nats an image.
        """
        bound = self.differentiate(x)
        if check is not None:
            check(self.total(bound))
        self.update()
        self.took()
        return bound

    def whole(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All of a step that is done on the device: the bound, and the number to check."""
        bound = self.differentiate(x)
        total = self.total(bound)
        self.update()
        return bound, total

    def prepare(self) -> None:
        """What is done on the host before each :meth:`whole`, and is not in a CUDA graph of it."""

    def has_failed(self) -> bool:
        """Whether a step was not finite, and later ones were left out; waits for the device."""
        return False

    def differentiate(self, x: Tensor) -> Tensor:
        """Gives the parameters the loss's gradient; returns the bound, with shape ()."""
        try:
            estimate = self.bound(x)
            self.backward(estimate.loss)
        except Exception as error:  # of many kinds
            if self.untried and not isinstance(error, torch.OutOfMemoryError):
                self.module.bound(x)  # what is wrong without a compiler is said as it is
                reason = f"the bound cannot be compiled ({reason_of(error)})"
                raise CompileError(f"{reason}: set --model.compile false") from error
            raise
        self.untried = False
        return estimate.bound.detach().mean()

    def backward(self, loss: Tensor) -> None:
        self.zero_grad()
        loss.backward()

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def total(self, bound: Tensor) -> Tensor:
        """A number, with shape (), that is finite if the bound and the watched gradients are."""
        gradients = [p.grad for p in self.watched if p.grad is not None]
        return torch.cat([bound.reshape(1), *gradients]).sum()

    def update(self, scale: float = 1.0) -> None:
        """Clips the gradient and takes the optimiser's step.

        Arguments:
            scale: The factor by which the loss was scaled, which the optimiser divides out.
        """
        if (limit := self.module.gradient_clip_norm) is not None:
            gradients = [p.grad for p in self.module.vae.parameters() if p.grad is not None]
            clip_(gradients, limit * scale)
        self.optimizer.step()


class LightningStep(Step):
    """Takes optimiser steps by Lightning's methods, which call hooks and count the steps.

    They cost a tenth of a millisecond a step.

    Arguments:
        module: A module that a trainer trains.
        compiled: Whether the bound is compiled.
    """

    def __init__(self, module: LightningModule, compiled: bool = False) -> None:
        self.lightning = module
        optimizer = cast(LightningOptimizer, module.optimizers())
        super().__init__(cast(Trained, module), cast(Optimizer, optimizer), compiled)
        # a gradient scaler expects infinite gradients, and skips their steps by itself
        self.scaler = getattr(module.trainer.precision_plugin, "scaler", None)
        if self.scaler:
            self.watched = []

    def backward(self, loss: Tensor) -> None:
        module, trainer = self.lightning, self.lightning.trainer
        optimizer = cast(LightningOptimizer, self.optimizer).optimizer
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            callback.on_before_zero_grad(trainer, module, optimizer)
        module.on_before_zero_grad(optimizer)
        self.zero_grad()
        module.manual_backward(loss)

    def update(self, scale: float = 1.0) -> None:
        super().update(self.scaler.get_scale() if self.scaler else scale)


class GraphStep(Step):
    """Takes optimiser steps by replaying one CUDA graph (:mod:`vae.training.capture`).

    Arguments:
        step: What is captured.
        took: Called after each step.
    """

    def __init__(self, step: Step, took: Callable[[], None] = lambda: None) -> None:
        super().__init__(step.module, step.optimizer, took=took)
        self.step = step
        self.graph = CapturedStep(cast(nn.Module, step.module), step.optimizer, step.whole)

    def has_failed(self) -> bool:
        return self.step.has_failed()

    def __call__(self, x: Tensor, check: Callable[[Tensor], None] | None = None) -> Tensor:
        self.step.prepare()
        bound, total = self.graph(x)
        if check is not None:
            check(total)
        self.took()
        return bound
