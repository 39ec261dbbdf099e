"""Linear layers by oneDNN, on CPUs where torch's own matrix product is half as fast as it could be.

Of a product in float32 torch asks MKL, which uses AVX-512 on Intel's CPUs only; oneDNN, which torch
has for its compiler, uses it wherever there is any. The results differ by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

__all__ = ["OneDNN", "available"]


ROWS = 64
"""The fewest rows that are worth it."""


class OneDNN(TorchFunctionMode):
    """A context in which linear layers are computed by oneDNN, where that is faster.

    Gradients reach what goes into a layer, such as the latents, and never its weights.

    Example:
        >>> layer = torch.nn.Linear(20, 400)
        >>> with torch.no_grad(), OneDNN():
        ...     layer(torch.randn(100, 20)).shape
        torch.Size([100, 400])
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is linear and not kwargs and _suits(args[0], args[1]):
            if torch.is_grad_enabled():
                return _Linear.apply(*args)  # type: ignore[no-untyped-call]
            return _linear(*args)
        return func(*args, **(kwargs or {}))


@cache
def available() -> bool:
    """Whether this torch and this CPU have what it takes."""
    return (
        torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _suits(x: Any, weight: Any) -> bool:
    plain = type(x) is Tensor and weight.dtype == x.dtype == torch.float32
    return plain and x.is_cpu and x.numel() >= ROWS * x.shape[-1] and available()


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


class _Linear(torch.autograd.Function):
    """A linear layer with a gradient to its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        ctx.save_for_backward(weight)
        return _linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return _linear(grad.contiguous(), weight.t().contiguous()), None, None
