r"""The beta-binomial distribution over grey levels.

.. math:: P(k) = \binom{n}{k} \frac{B(k + \alpha, n - k + \beta)}{B(\alpha, \beta)}, \qquad n = 255

Its logarithm is a small difference of log-gamma functions of thousands, so it is computed in double
precision.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Beta
from torch.types import _size

from vae.devices import double
from vae.distributions.levels import HIGHEST, Levels

__all__ = ["BetaBinomial"]


class BetaBinomial(Levels):
    """Creates a beta-binomial distribution of k in 0 ... 255, whose values are k / 255.

    Arguments:
        concentration1: The concentration of the highest level, between 1e-5 and 1e5.
        concentration0: That of the lowest.
    """

    def __init__(
        self, concentration1: Tensor, concentration0: Tensor, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = torch.broadcast_tensors(
            concentration1, concentration0
        )
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    def log_prob_of_level(self, level: Tensor) -> Tensor:
        high, low, k = double(self.concentration1), double(self.concentration0), double(level)
        rest = HIGHEST - k
        ways = -(k + 1).lgamma() - (rest + 1).lgamma()  # but for a constant
        found = ways + _log_beta(high + k, low + rest) - _log_beta(high, low)
        constant = torch.lgamma(torch.tensor(HIGHEST + 1.0, dtype=torch.float64)).item()
        return (found + constant).to(self.mean)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(Size(sample_shape))
            high, low = (c.expand(shape) for c in (self.concentration1, self.concentration0))
            chance = Beta(high, low, validate_args=False).sample()
            return torch.binomial(torch.full_like(chance, HIGHEST), chance) / HIGHEST


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return a.lgamma() + b.lgamma() - (a + b).lgamma()
