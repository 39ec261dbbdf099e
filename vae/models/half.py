"""Weights stored in half the space: float16 in the file, float32 once they are read.

What is rounded is the weights: by at most one part in 2048, or, of weights smaller than 6.1e-5, by at
most 3.0e-8 (float16's subnormal numbers are 6.0e-8 apart). What is counted or set, such as a
temperature, is a single number, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["STORED", "halved", "restored"]

STORED = "float16"
"""What a checkpoint says under ``["vae"]["stored"]`` if its weights were halved."""


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for a file: float32 tensors as float16, all others as they are.

    Single numbers stay as they are, and so does a tensor with a number that float16 has not.

    Arguments:
        weights: Tensors by name, of any shapes.
    """
    return {name: _half(value.detach().cpu()) for name, value in weights.items()}


def restored(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a file: float16 tensors as float32, all others as they are.

    Arguments:
        weights: What :func:`halved` returned.
    """
    return {
        name: value.float() if isinstance(value, Tensor) and value.dtype == torch.half else value
        for name, value in weights.items()
    }


def _half(value: Tensor) -> Tensor:
    """A copy that holds no more storage than its own numbers."""
    if value.dtype == torch.float32 and value.dim() > 0:
        half = value.half()
        if torch.equal(half.isfinite(), value.isfinite()):
            return half.contiguous()
    return value.clone(memory_format=torch.contiguous_format)
