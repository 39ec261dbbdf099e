"""The shapes of a network's outputs on the meta device, without what torch imports to find them.

torch's own rules for the meta device are written in Python: the first layer that is called there
imports sympy and the compiler, which takes as long as to import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["ShapesOnly"]

Shape = tuple[int, ...]


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Shape | None:
    fits = x.shape[-1:] == weight.shape[1:]
    return (*x.shape[:-1], weight.shape[0]) if fits else None


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] | str = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Shape | None:
    if isinstance(padding, str) or x.shape[-3] != weight.shape[1] * groups:
        return None
    sizes = zip(x.shape[-2:], weight.shape[-2:], stride, padding, dilation, strict=True)
    sides = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes]
    return (*x.shape[:-3], weight.shape[0], *sides)


def _conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    output_padding: Sequence[int] = (0, 0),
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
) -> Shape | None:
    if x.shape[-3] != weight.shape[0]:
        return None
    sizes = zip(
        x.shape[-2:], weight.shape[-2:], stride, padding, output_padding, dilation, strict=True
    )
    sides = [(n - 1) * s - 2 * p + d * (k - 1) + o + 1 for n, k, s, p, o, d in sizes]
    return (*x.shape[:-3], weight.shape[1] * groups, *sides)


def _same(x: Tensor, *_: Any, **__: Any) -> Shape:
    return tuple(x.shape)


def _glu(x: Tensor, dim: int = -1) -> Shape | None:
    sides = list(x.shape)
    if sides[dim] % 2:
        return None
    sides[dim] //= 2
    return tuple(sides)


RULES: Mapping[Callable, Callable[..., Shape | None]] = {
    F.linear: _linear,
    F.conv2d: _conv2d,
    F.conv_transpose2d: _conv_transpose2d,
    F.glu: _glu,
    **dict.fromkeys((F.relu, F.leaky_relu, F.gelu, F.silu, F.softplus), _same),
    **dict.fromkeys((torch.tanh, torch.sigmoid), _same),
}
"""The shape that a function returns; None where torch is to say what is wrong, or does more."""


class ShapesOnly(TorchFunctionMode):
    """While entered, common layers return empty tensors of the right shape on the meta device.

    Whatever else is called there is torch's.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in RULES and args and isinstance(args[0], Tensor) and args[0].is_meta:
            shape = RULES[func](*args, **kwargs)
            if shape is not None:
                return args[0].new_empty(shape)
        return func(*args, **kwargs)
