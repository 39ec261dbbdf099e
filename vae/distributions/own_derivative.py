"""Functions of tensors with a derivative that is written out, in fewer operations than autograd's."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

__all__ = ["OwnDerivative"]


class OwnDerivative(torch.autograd.Function):
    """Base of a function whose backward pass computes with its inputs.

    A subclass writes ``forward`` of the inputs, and ``backward`` in ordinary operations, so that
    it can be differentiated again and mapped (``torch.func``).
    """

    generate_vmap_rule = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # torch asks for it at each call; to find it out takes as long as several operations
        cls.forward.__signature__ = inspect.signature(cls.forward)  # type: ignore[attr-defined]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
