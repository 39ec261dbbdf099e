r"""How heavy the tail of importance weights is: the shape k of a generalised Pareto distribution.

.. math:: p(y) = \tfrac1\sigma \left(1 + k \tfrac{y}{\sigma}\right)^{-1/k - 1}, \qquad y \ge 0

Of a tail of shape k only moments below 1/k exist. From k = 1/2 on the weights have no variance, and
from about 0.7 on no practical number of samples tells their mean, whatever its error bar says.

References:
    | Pareto Smoothed Importance Sampling (Vehtari et al., 2024), section 2 and algorithm 1
    | (https://arxiv.org/abs/1507.02646).
    | A New and Efficient Estimation Method for the Generalized Pareto Distribution
    | (Zhang & Stephens, 2009) (https://doi.org/10.1198/tech.2009.08017).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["fit_pareto", "largest_k", "pareto_k", "tail_length"]


def tail_length(num_samples: int) -> int:
    """How many of the largest of K weights are the tail: min(K / 5, 3 sqrt K), rounded up."""
    return math.ceil(min(num_samples / 5, 3 * num_samples**0.5))


def largest_k(num_samples: int) -> float:
    """The largest k at which K samples tell the mean: min(1 - 1 / log10 K, 0.7).

    Pareto Smoothed Importance Sampling, section 3.2.4.
    """
    return min(1 - 1 / math.log10(num_samples), 0.7)


def pareto_k(largest: Tensor) -> Tensor:
    """The shape k of the tail of weights, with shape (B,).

    It is minus infinity where the weights of the tail are all the same, and NaN where a quarter of
    them are the same as the first one below, as the weights of a few discrete latents are.

    Arguments:
        largest: The M + 1 largest log-weights of each image, ``(M + 1, B)``: the tail and, as its
            beginning, the largest one below.
    """
    weights = (largest - largest.amax(0)).exp().sort(0).values  # ascending
    shape = fit_pareto(weights[1:] - weights[0])
    M = len(weights) - 1
    # a weak prior of k = 1/2, worth ten samples
    shape = (shape * M + 5) / (M + 10)
    flat = weights[-1] - weights[0] <= torch.finfo(torch.float32).eps
    return shape.masked_fill(flat, -math.inf)


def fit_pareto(excess: Tensor) -> Tensor:
    """The shape k of generalised Pareto samples, with shape (B,), by Zhang and Stephens.

    It is the mean of k over a likelihood's grid, so nothing has to converge.

    Arguments:
        excess: Samples ``(M, B)``, nonnegative and sorted, the smallest first.
    """
    M = len(excess)
    points = 30 + math.isqrt(M)
    quartile = excess[max(math.floor(M / 4 + 0.5) - 1, 0)]
    j = torch.arange(1, points + 1, dtype=excess.dtype, device=excess.device)[:, None]
    theta = 1 / excess[-1] + (1 - (points / (j - 0.5)).sqrt()) / (3 * quartile)  # (points, B)
    k = _shape(theta, excess)
    log_likelihood = M * ((-theta / k).log() - k - 1)
    best = (theta * log_likelihood.softmax(0)).sum(0, keepdim=True)
    shape = _shape(best, excess)[0]
    return shape.masked_fill(quartile <= 0, math.nan)


def _shape(theta: Tensor, excess: Tensor) -> Tensor:
    """The most likely k for each theta = -k / sigma, with the shape of ``theta``."""
    return torch.stack([(-t * excess).log1p().mean(0) for t in theta])
