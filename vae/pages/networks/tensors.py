"""Tensors in one block of bytes: float16 where that rounds them, float32 where it would spoil them."""

from __future__ import annotations

import base64
from typing import Any

import torch
from torch import Tensor

__all__ = ["Block", "rounded"]

RELATIVE_ERROR = 2.0**-10
"""Of a rounded tensor's worst entry, in parts of its largest: twice that of a float16."""


def rounded(x: Tensor, half: bool = True) -> Tensor:
    """A tensor as a page has it, in its own dtype.

    Arguments:
        x: A constant.
        half: Whether float16 may be tried.
    """
    return x.to(_dtype(x, half)).to(x.dtype)


def _dtype(x: Tensor, half: bool) -> torch.dtype:
    """float16, but float32 where float16 overflows, loses small numbers, or counts wrongly."""
    wide = x.to(torch.float32)
    if not half or not x.numel():
        return torch.float32
    narrow = wide.to(torch.float16).to(torch.float32)
    error = torch.where(narrow == wide, 0, (narrow - wide).abs())  # infinities are the same
    if not x.is_floating_point():
        return torch.float32 if error.any() else torch.float16
    finite = wide[wide.isfinite()]
    largest = finite.abs().max() if len(finite) else wide.new_zeros(())
    return torch.float16 if bool(error.max() <= RELATIVE_ERROR * largest) else torch.float32


class Block:
    """Tensors side by side.

    Attributes:
        entries: Of each tensor its shape, its type, and where it begins, in bytes; by name.
    """

    def __init__(self, half: bool = True) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self._half, self._bytes = half, bytearray()

    def add(self, name: str, x: Tensor) -> str:
        """Takes a tensor, and returns its name."""
        if name not in self.entries:
            dtype = _dtype(x, self._half)
            size = 2 if dtype == torch.float16 else 4
            self._bytes.extend(b"\0" * (-len(self._bytes) % size))
            self.entries[name] = {
                "shape": list(x.shape),
                "type": str(dtype).removeprefix("torch."),
                "offset": len(self._bytes),
            }
            self._bytes += x.detach().to(dtype).contiguous().numpy().tobytes()
        return name

    def text(self) -> str:
        """All bytes, as base64."""
        return base64.b64encode(bytes(self._bytes)).decode("ascii")
