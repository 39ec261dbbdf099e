r"""The thermodynamic objective: log p(x) as an integral, by a Riemann sum.

.. math:: \log p(x) = \int_0^1 \mathbb{E}_{\pi_\beta}\Big[\log \frac{p(x, z)}{q(z|x)}\Big] d\beta,
    \qquad \pi_\beta(z) \propto q(z|x)^{1 - \beta} p(x, z)^\beta

The integrand rises from the ELBO at :math:`\beta = 0`, so that the left Riemann sum is a lower bound
and the right one an upper bound. An expectation under :math:`\pi_\beta` is estimated by K samples of q
with normalised weights :math:`w^\beta`,

.. math:: R = \sum_i (\beta_{i+1} - \beta_i) \sum_k \frac{e^{\beta_i f_k}}{\sum_j e^{\beta_i f_j}} f_k

which rises in :math:`\beta` too, for any f, and whose integral is :math:`\log \frac1K \sum_k e^{f_k}`:
the left sum lies between the mean of the f and the importance-weighted bound of the same samples. So
its mean is a lower bound of log p(x) at any K, though not the thermodynamic bound; the right one's is
above the importance-weighted bound, and bounds nothing.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from vae.objectives.base import ImportanceWeighted
from vae.objectives.reductions import log_sum_of_others

__all__ = ["TVO"]


class TVO(ImportanceWeighted):
    r"""The thermodynamic variational objective, by its estimate of K samples.

    The authors estimate its gradient by covariances under :math:`\pi_\beta`; here the estimator is
    chosen, as for every objective, and its gradient is that of E[R].

    References:
        | The Thermodynamic Variational Objective (Masrani, Le & Wood, 2019), equations 7 and 8
        | (https://arxiv.org/abs/1907.00031).

    Arguments:
        num_samples: K.
        partitions: The number of intervals; with one, the left sum is the ELBO.
        beta_min: The first point after 0; the points from it to 1 are equally spaced in their
            logarithm, as the authors' are.
        riemann: left, whose limit is a lower bound, or right, whose limit is an upper one.
    """

    points: Tensor
    widths: Tensor

    def __init__(
        self,
        num_samples: int = 5,
        partitions: int = 5,
        beta_min: float = 0.025,
        riemann: Literal["left", "right"] = "left",
    ) -> None:
        super().__init__(num_samples)
        if partitions < 1:
            raise ValueError(f"partitions must be at least 1, got {partitions}")
        if not 0 < beta_min < 1:
            raise ValueError(f"beta_min must be between 0 and 1, got {beta_min}")
        if riemann not in ("left", "right"):
            raise ValueError(f"riemann must be left or right, got {riemann!r}")
        self.riemann = riemann
        inner = torch.linspace(math.log(beta_min), 0, partitions, dtype=torch.float64).exp()
        ends = torch.cat([torch.zeros(1), inner if partitions > 1 else torch.ones(1)])
        at = ends[:-1] if riemann == "left" else ends[1:]
        self.register_buffer("points", at.float(), persistent=False)
        self.register_buffer("widths", ends.diff().float(), persistent=False)

    @property
    def bounds(self) -> str:
        if self.riemann == "left":
            return "a lower bound of log p(x), and no guaranteed bound of the thermodynamic limit"
        return "no guaranteed bound of log p(x): an estimate, from K samples, of an upper one"

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        f = f.movedim(dim, 0)  # (K, *)
        finite = f.clamp_min(torch.finfo(f.dtype).min / 4)[:, None]
        w = (self._along(self.points, f) * finite).softmax(0)  # (K, P, *)
        means = (w * finite).sum(0)  # (P, *)
        value = (self._along(self.widths, f)[0] * means).sum(0)
        impossible = f == -math.inf
        lost = impossible.any(0) if self.riemann == "left" else impossible.all(0)
        return value.masked_fill(lost, -math.inf)

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        least = torch.finfo(f.dtype).min / 4
        f, a = f.clamp_min(least)[:, None], alternative.clamp_min(least)[:, None]  # (K, 1, *)
        points = self._along(self.points, alternative)
        # means as a distance below what is above all: a sum of positive terms has a logarithm
        top = torch.maximum(f.amax(0), a.amax(0)).detach() + 1  # (1, *)
        total = torch.logaddexp(_others(points * f), points * a)  # (K, P, *)
        below = torch.logaddexp(
            _others(points * f + (top - f).log()), points * a + (top - a).log()
        )
        means = top - (below - total).exp()
        return (self._along(self.widths, alternative) * means).sum(1)

    def path_weights(self, f: Tensor) -> Tensor:
        points, value = self._along(self.points, f), f[:, None]
        w = (points * value).softmax(0)
        slope = w * (1 + points * (value - (w * value).sum(0)))  # of the mean, in f_k
        second = points * ((1 - w) * slope + w * (1 - slope))
        return (self._along(self.widths, f) * (slope - second)).sum(1)

    def _along(self, points: Tensor, f: Tensor) -> Tensor:
        """With a dimension for the samples and those behind it: (1, P, 1...)."""
        return points.to(f.dtype).view(1, -1, *[1] * (f.dim() - 1))


def _others(f: Tensor) -> Tensor:
    return log_sum_of_others(f).clamp_min(torch.finfo(f.dtype).min)
