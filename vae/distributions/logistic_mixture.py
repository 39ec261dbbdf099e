r"""Mixtures of logistic distributions, rounded to grey levels.

With :math:`a` and :math:`b` the standardised upper and lower edge of a level, :math:`a - b = \delta`,

.. math:: \log\big(\sigma(a) - \sigma(b)\big) = \log \sigma(a) + \log \sigma(-b) + \log(1 - e^{-\delta})

without a difference of numbers near 1. The lowest level has no lower edge, and the highest no upper
one. Edges are in units of levels, so that two levels round the edge between them alike.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Categorical
from torch.nn.functional import logsigmoid
from torch.types import _size

from vae.distributions.levels import HIGHEST, Levels

__all__ = ["DiscretizedLogisticMixture"]


class DiscretizedLogisticMixture(Levels):
    """Creates a mixture of M logistic distributions, rounded to the nearest of 256 levels.

    Arguments:
        logits: Of the components, ``(*, M)``, normalised here.
        loc: Their means in the pixel range [0, 1], ``(*, M)``.
        scale: Their scales in the same units, ``(*, M)``; between 1e-4 and 1e4, where single
            precision is exact to 1e-5.
    """

    def __init__(
        self, logits: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None
    ) -> None:
        self.logits = logits.log_softmax(-1)
        self.loc, self.scale = HIGHEST * loc, HIGHEST * scale  # in levels
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    def log_prob_of_level(self, level: Tensor) -> Tensor:
        k = level.unsqueeze(-1)
        upper = (k + 0.5 - self.loc) / self.scale  # (*, M)
        lower = (k - 0.5 - self.loc) / self.scale
        lowest, highest = k <= 0, k >= HIGHEST
        below = logsigmoid(upper).masked_fill(highest, 0)
        above = logsigmoid(-lower).masked_fill(lowest, 0)
        width = (-torch.expm1(-1 / self.scale)).log().expand_as(below)
        each = below + above + width.masked_fill(lowest | highest, 0)
        return (self.logits + each).logsumexp(-1)

    @property
    def mean(self) -> Tensor:
        """The mean in [0, 1], to a twentieth of a level: the sum of P(X > k) as an integral."""
        below = (self.loc - HIGHEST) / self.scale
        width = HIGHEST / self.scale
        ratio = torch.logaddexp(logsigmoid(-below), width + logsigmoid(below))
        each = self.scale * ratio / HIGHEST  # (*, M)
        return (self.logits.exp() * each).sum(-1).clamp(0, 1)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(Size(sample_shape))
            chosen = Categorical(logits=self.logits, validate_args=False).sample(
                Size(sample_shape)
            )
            loc, scale = (
                t.expand(*shape, -1).gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
                for t in (self.loc, self.scale)
            )
            noise = torch.rand_like(loc).clamp_(1e-7, 1 - 1e-7).logit()
            return (loc + scale * noise).round().clamp(0, HIGHEST) / HIGHEST
