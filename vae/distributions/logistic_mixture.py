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

    Components come first: on a CPU that is twice as fast as last.

    Arguments:
        logits: Of the components, ``(M, *)``, normalised here.
        loc: Their means in the pixel range [0, 1], ``(M, *)``.
        scale: Their scales in the same units, ``(M, *)``; between 1e-4 and 1e4, where single
            precision is exact to 1e-5.
    """

    def __init__(
        self, logits: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None
    ) -> None:
        self.logits = logits.log_softmax(0)
        self.loc, self.scale = HIGHEST * loc, HIGHEST * scale  # in levels
        super().__init__(logits.shape[1:], validate_args=validate_args)

    def log_prob_of_level(self, level: Tensor) -> Tensor:
        # components before whatever is before the batch
        new = max(0, level.dim() - len(self.batch_shape))
        parts = (self.logits, self.loc, self.scale)
        logits, loc, scale = (t.unflatten(0, (len(t), *[1] * new)) for t in parts)
        steepness = 1 / scale
        middle = (level - loc) * steepness  # (M, *)
        lowest, highest = level <= 0, level >= HIGHEST
        below = logsigmoid(middle + steepness / 2).masked_fill(highest, 0)
        above = logsigmoid(steepness / 2 - middle).masked_fill(lowest, 0)
        width = (-torch.expm1(-steepness)).log().masked_fill(lowest | highest, 0)
        return (logits + below + above + width).logsumexp(0)

    @property
    def mean(self) -> Tensor:
        """The mean in [0, 1], to a twentieth of a level: the sum of P(X > k) as an integral."""
        below = (self.loc - HIGHEST) / self.scale
        width = HIGHEST / self.scale
        ratio = torch.logaddexp(logsigmoid(-below), width + logsigmoid(below))
        each = self.scale * ratio / HIGHEST  # (M, *)
        return (self.logits.exp() * each).sum(0).clamp(0, 1)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(Size(sample_shape))
            law = Categorical(logits=self.logits.movedim(0, -1), validate_args=False)
            chosen = law.sample(Size(sample_shape)).unsqueeze(-1)
            loc, scale = (
                t.movedim(0, -1).expand(*shape, -1).gather(-1, chosen).squeeze(-1)
                for t in (self.loc, self.scale)
            )
            noise = torch.rand_like(loc).clamp_(1e-7, 1 - 1e-7).logit()
            return (loc + scale * noise).round().clamp(0, HIGHEST) / HIGHEST
