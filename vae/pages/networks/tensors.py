"""Tensors in one block of bytes, two bytes a number.

A tensor is kept as float16 where that is exact: weights that are shipped as float16, tables, counts. A
matrix of other numbers is kept as int16 with a float32 scale for each of its rows. That takes as many
bytes, and its images are four times nearer to torch's: float16 spends its bits on tiny weights, whose
relative error is of no interest. Vectors, which are few numbers, stay float32, and so does what is not
finite.
"""

from __future__ import annotations

import base64
from typing import Any

import torch
from torch import Tensor

__all__ = ["Block", "neighbours", "rounded"]

LARGEST = 2**15 - 1
"""The largest int16."""


def rounded(x: Tensor) -> Tensor:
    """A tensor as a page has it, in its own dtype."""
    wide = x.to(torch.float32)
    if _type(wide) == "int16":
        whole, scales = _integers(wide)
        wide = (whole * scales[:, None]).view(x.shape)
    return wide.to(x.dtype)


def neighbours(x: Tensor, generator: torch.Generator) -> Tensor:
    """The next number above or below each, in its dtype: what rounding does to what is computed."""
    if not x.is_floating_point():
        return x
    up = torch.rand(x.shape, generator=generator) < 0.5
    towards = torch.where(up, torch.inf, -torch.inf).to(x.dtype)
    counted = (x == x.round()) | ~x.isfinite()
    return torch.where(counted, x, torch.nextafter(x, towards))


def _type(x: Tensor) -> str:
    narrow = x.to(torch.float16).to(torch.float32)
    if torch.equal(narrow.nan_to_num(), x.nan_to_num()):
        return "float16"
    return "int16" if x.dim() > 1 and bool(x.isfinite().all()) else "float32"


def _integers(x: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers, ``(rows, the rest)``, and the scale of each row."""
    rows = x.flatten(1)
    scales = rows.abs().amax(1) / LARGEST
    return (rows / scales.clamp_min(torch.finfo(x.dtype).tiny)[:, None]).round(), scales


class Block:
    """Tensors side by side.

    Attributes:
        entries: Of each tensor its shape, its type, and where it begins, in bytes, by name; of int16
            also where its scales do.
    """

    def __init__(self, wide: bool = False) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self._wide, self._bytes = wide, bytearray()

    def add(self, name: str, x: Tensor) -> None:
        """Takes in a tensor.

        Arguments:
            name: What it is asked for by.
            x: The tensor, which becomes float32 where the block is wide.
        """
        x = x.detach().to(torch.float32)
        kept = "float32" if self._wide else _type(x)
        entry: dict[str, Any] = {"shape": list(x.shape), "type": kept}
        if kept == "int16":
            x, scales = _integers(x)
            entry["scales"] = self._put(scales)
        self.entries[name] = entry | {"offset": self._put(x.to(getattr(torch, kept)))}

    def text(self) -> str:
        """All bytes, as base64."""
        return base64.b64encode(bytes(self._bytes)).decode("ascii")

    def _put(self, x: Tensor) -> int:
        self._bytes.extend(bytes(-len(self._bytes) % x.element_size()))
        start = len(self._bytes)
        self._bytes += x.contiguous().numpy().tobytes()
        return start
