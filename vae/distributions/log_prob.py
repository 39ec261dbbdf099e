"""Log-probabilities of pixels with derivatives of their own, in few passes over memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from vae.distributions.own_derivative import OwnDerivative

__all__ = ["LogProb", "derivatives"]


class LogProb(OwnDerivative):
    """Base of log p(x) of (logits, value) whose derivative in the value is the logit.

    A subclass writes ``forward`` and a ``backward`` that calls :func:`derivatives`. Pixels are by
    far the largest tensors of a model: what autograd would keep and pass over again costs time.
    """


def derivatives(
    ctx: Any, grad: Tensor, slope: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients in logits and value; None where none is needed.

    Arguments:
        ctx: That of the backward pass.
        grad: The gradient of the log-probabilities.
        slope: From logits and value to the derivative in the logits.
    """
    logits, value = ctx.saved_tensors
    of_logits, of_value = ctx.needs_input_grad
    in_logits = (slope(logits, value) * grad).sum_to_size(logits.shape) if of_logits else None
    in_value = (logits * grad).sum_to_size(value.shape) if of_value else None
    return in_logits, in_value
