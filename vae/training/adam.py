r"""Adam written out as a function of tensors, so that a graph can hold it.

The same numbers as those of ``torch.optim.Adam`` and ``AdamW``, to rounding, and the same state in
the same place: a checkpoint does not tell which of the two wrote it.

References:
    | Adam: A Method for Stochastic Optimization (Kingma & Ba, 2015), algorithm 1
    | (https://arxiv.org/abs/1412.6980).
    | Decoupled Weight Decay Regularization (Loshchilov & Hutter, 2019), algorithm 2
    | (https://arxiv.org/abs/1711.05101).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from vae.training.torch_private import has_step_hooks

__all__ = ["AdamTensors", "is_written_out"]

MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
"""The names that torch's Adam gives its state of a parameter; the last with ``amsgrad`` only."""


def is_written_out(optimizer: Optimizer, trained: Iterable[Tensor] = ()) -> bool:
    """Whether an optimiser is torch's Adam or AdamW, of real numbers, with no hooks on its step.

    Arguments:
        optimizer: The optimiser.
        trained: Parameters with a gradient: all of them must be the optimiser's.
    """
    if type(optimizer) not in (Adam, AdamW) or has_step_hooks(optimizer):
        return False
    own = {id(p): p for group in optimizer.param_groups for p in group["params"]}
    return all(id(p) in own for p in trained) and not any(p.is_complex() for p in own.values())


class AdamTensors:
    """An Adam's state and learning rates as tensors, on which its step is written out.

    Arguments:
        optimizer: With the state of every parameter that is trained.
        trained: Those parameters.

    Attributes:
        tensors: All that a step reads and changes, but the parameters.
        means: The running means of the gradients, one a parameter.
    """

    def __init__(self, optimizer: Optimizer, trained: Sequence[nn.Parameter]) -> None:
        self.optimizer = optimizer
        self.groups = optimizer.param_groups
        group_of = {id(p): i for i, group in enumerate(self.groups) for p in group["params"]}
        self.group_of = [group_of[id(p)] for p in trained]
        states = [optimizer.state[p] for p in trained]
        # one tensor of all step counts, of which each parameter's is an element
        self.steps = torch.stack([state["step"] for state in states])
        for state, step in zip(states, self.steps.unbind(), strict=True):
            state["step"] = step
        self.moments = [[state[name] for name in MOMENTS if name in state] for state in states]
        first = trained[0]
        wide = torch.float64 if first.dtype == torch.float64 else torch.float32
        self.rates = torch.zeros(len(self.groups), dtype=wide, device=first.device)
        self._known: list[Any] = [None] * len(self.groups)
        self.tensors = [self.steps, self.rates, *(m for own in self.moments for m in own)]
        self.means = [own[0] for own in self.moments]

    def fill_rates(self) -> None:
        """Takes over the learning rates, which schedules change."""
        for number, group in enumerate(self.groups):
            rate = group["lr"]
            if isinstance(rate, Tensor):
                self.rates[number].copy_(rate)
            elif rate != self._known[number]:
                self.rates[number] = self._known[number] = rate

    def step_(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor],
        tensors: Sequence[Tensor],
        taken: Tensor,
    ) -> None:
        """Takes a step, in place.

        Arguments:
            parameters: Those trained, in the same order.
            gradients: Of each.
            tensors: Those of ``self.tensors``.
            taken: Whether the step is taken, a Boolean of shape (); else all stays as it is.
        """
        steps, rates, *flat = tensors
        moments, rest = [], iter(flat)
        for own in self.moments:
            moments.append([next(rest) for _ in own])
        steps.add_(taken)
        for i, (p, g, own) in enumerate(zip(parameters, gradients, moments, strict=True)):
            number = self.group_of[i]
            new, values = _step(p, g, own, steps[i], rates[number], self.groups[number])
            for old, value in zip((p, *own), (new, *values), strict=True):
                old.copy_(torch.where(taken, value, old))


def _step(
    p: Tensor, g: Tensor, moments: list[Tensor], t: Tensor, lr: Tensor, group: dict[str, Any]
) -> tuple[Tensor, list[Tensor]]:
    """The parameter and the moments after step number ``t``."""
    beta1, beta2 = map(float, group["betas"])
    decay, t = group["weight_decay"], t.to(lr.dtype)
    if group["maximize"]:
        g = -g
    if decay and group.get("decoupled_weight_decay"):
        p = p * (1 - lr * decay)
    elif decay:
        g = g + decay * p
    mean = moments[0].lerp(g, 1 - beta1)
    square = moments[1] * beta2 + (1 - beta2) * g * g
    values = [mean, square]
    if group["amsgrad"]:
        square = torch.maximum(moments[2], square)
        values.append(square)
    scale = square.sqrt() / _bias(beta2, t).sqrt() + group["eps"]
    return p - (lr / _bias(beta1, t)) * mean / scale, values


def _bias(beta: float, t: Tensor) -> Tensor:
    r""":math:`1 - \beta^t`, also where that is small."""
    return -torch.expm1(t * (math.log(beta) if beta > 0 else -math.inf))
