"""Mean, variance and signal-to-noise ratio of gradients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vae.analysis.gradients import GROUPS
from vae.devices import double

__all__ = ["Moments", "Summary", "squared_norm", "summarize"]


class Moments:
    """Running mean and sum of squared deviations of vectors, by Chan's parallel update.

    Beside them, what needs the truth replicate by replicate, the mean of DSNR; and the means of
    :data:`GROUPS` groups of replicates, from which the error of a bias follows.

    Arguments:
        truth: The direction for DSNR, with shape (P,), or None.
    """

    def __init__(self, truth: Tensor | None = None) -> None:
        self.count, self.truth = 0, truth
        self.sums = torch.zeros(())  # (GROUPS, P), once there is something to add
        self.mean = self.squares = torch.zeros((), dtype=torch.float64)  # broadcast to (P,)
        self.dsnr = 0.0

    def add(self, g: Tensor) -> None:
        """Adds replicates ``(N, P)``."""
        g = double(g)
        n, mean = len(g), g.mean(0)
        if not self.count:
            self.sums = g.new_zeros(GROUPS, g.shape[1])
        self.sums.index_add_(0, (self.count + torch.arange(n, device=g.device)) % GROUPS, g)
        delta, total = mean - self.mean.to(g.device), self.count + n
        self.squares = (
            self.squares.to(g.device)
            + (g - mean).square().sum(0)
            + delta.square() * (self.count * n / total)
        )
        self.mean = self.mean.to(g.device) + delta * (n / total)
        if self.truth is not None:
            u = self.truth / self.truth.norm().clamp_min(1e-300)
            along = g @ u  # (N,)
            across = (g.square().sum(1) - along.square()).clamp_min(1e-300).sqrt()
            self.dsnr += ((along.abs() / across).mean().item() - self.dsnr) * (n / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate, (P,)."""
        return self.squares / max(1, self.count - 1)

    @property
    def groups(self) -> Tensor:
        """The means of every GROUPS-th replicate, ``(min(GROUPS, count), P)``."""
        filled = torch.arange(GROUPS, device=self.sums.device)[: self.count]
        return self.sums[: self.count] / ((self.count - 1 - filled) // GROUPS + 1)[:, None]


class Summary(NamedTuple):
    """What the report says of one estimator, for one set of parameters.

    Attributes:
        bias_squared: ||E g - truth||^2, corrected for what the noise of both adds to it on average.
        bias_error: The standard error of bias_squared; where the truth is an average, of its noise too.
        variance: The variance of one estimate, summed over coordinates.
        snr: ||E g|| / sqrt(variance), a ratio of norms: a mean of the coordinates' ratios would be
            decided by the coordinates with the least noise.
        dsnr: Mean of the part along the truth over the part across.
        cosine: The cosine between the mean gradient and the truth.
    """

    bias_squared: float
    bias_error: float
    variance: float
    snr: float
    dsnr: float
    cosine: float


def summarize(moments: Moments, truth: Moments) -> Summary:
    """The summary of an estimator's moments.

    The truth's moments are those of one vector if it is exact, else of a long average.
    """
    variance = moments.variance
    live = bool((variance > 0).any())
    signal = (moments.mean.square().sum() - (variance / moments.count).sum()).clamp_min(0)
    snr = (signal / variance.sum()).sqrt().item() if live else float("inf")
    cosine = torch.nn.functional.cosine_similarity(moments.mean, truth.mean, dim=0)
    bias_squared, bias_error = squared_norm(
        moments.groups - (truth.mean if truth.count == 1 else truth.groups[: moments.count])
    )
    return Summary(
        bias_squared=bias_squared,
        bias_error=bias_error,
        variance=variance.sum().item(),
        snr=snr,
        dsnr=moments.dsnr if live else float("inf"),
        cosine=cosine.item(),
    )


def squared_norm(samples: Tensor) -> tuple[float, float]:
    r"""An unbiased estimate of :math:`\|\mathbb{E} a\|^2`, and its standard error.

    It takes independent samples :math:`a_1, \ldots, a_G`, ``(G, P)`` with G >= 4, whatever the
    correlations of their coordinates.

    The estimate is the U-statistic :math:`\overline{a_g \cdot a_h}` over pairs; its variance
    :math:`4 (G-2) \zeta_1 / G(G-1) + 2 \zeta_2 / G(G-1)` (Hoeffding, 1948), with
    :math:`\zeta_1 = \mathrm{Cov}(a_1 \cdot a_2, a_1 \cdot a_3)` and
    :math:`\zeta_2 = \mathrm{Var}(a_1 \cdot a_2)` from the means over distinct indices, neither of
    them below 0 (where there is no bias, this makes the error some tenths too large).
    """
    G = len(samples)
    products = samples @ samples.T
    products.fill_diagonal_(0)
    rows = products.sum(1)
    total, squares = rows.sum(), products.square().sum()
    pairs, triples = G * (G - 1), G * (G - 1) * (G - 2)
    shared = rows.square().sum() - squares  # sum over triples that share one index
    fourth = (total.square() - 4 * shared - 2 * squares) / (triples * (G - 3))
    zeta_1, zeta_2 = shared / triples - fourth, squares / pairs - fourth
    variance = (4 * (G - 2) * zeta_1.clamp_min(0) + 2 * zeta_2.clamp_min(0)) / pairs
    return (total / pairs).item(), variance.sqrt().item()
