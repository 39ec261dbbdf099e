r"""Logarithms of means of weights over K samples, in O(K) time and memory.

All of them take :math:`\log w` with the samples as dimension 0 and anything behind it. Where no
sample is possible (:math:`w = 0`) values are :math:`-\infty` and gradients are not NaN.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["log_mean_exp", "log_sum_of_others", "normalized", "swap_in_log_mean_exp"]


def log_mean_exp(f: Tensor, dim: int = 0) -> Tensor:
    r""":math:`\log \frac1K \sum_k e^{f_k}`, without the dimension ``dim``."""
    # where no sample is possible, log 0 as a finite number: its weights are not NaN
    possible = f.clamp_min(torch.finfo(f.dtype).min)
    value = possible.logsumexp(dim) - math.log(f.shape[dim])
    return value.masked_fill((f == -math.inf).all(dim), -math.inf)


def log_sum_of_others(f: Tensor) -> Tensor:
    r""":math:`\log \sum_{j \ne k} e^{f_j}`, with the shape of f.

    From the left and from the right: no subtraction, so nothing cancels.
    """
    nothing = torch.full_like(f[:1], -math.inf)
    left = torch.cat([nothing, f[:-1]]).logcumsumexp(0)
    right = torch.cat([nothing, f[1:].flip(0)]).logcumsumexp(0).flip(0)
    return torch.logaddexp(left, right)


def swap_in_log_mean_exp(f: Tensor, alternative: Tensor) -> Tensor:
    r""":func:`log_mean_exp` with :math:`f_k` replaced by :math:`a_k`, for each k by itself."""
    others = log_sum_of_others(f)
    impossible = (others == -math.inf) & (alternative == -math.inf)
    least = torch.finfo(f.dtype).min
    total = torch.logaddexp(others.clamp_min(least), alternative.clamp_min(least))
    return (total - math.log(f.shape[0])).masked_fill(impossible, -math.inf)


def normalized(f: Tensor) -> Tensor:
    """The normalised weights, with the shape of f; equal ones where no sample is possible."""
    return f.clamp_min(torch.finfo(f.dtype).min).softmax(0)
