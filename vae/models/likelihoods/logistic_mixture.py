"""Mixtures of logistic distributions, rounded to grey levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import distributions as D

from vae.distributions.logistic_mixture import DiscretizedLogisticMixture
from vae.models.likelihoods.base import Likelihood
from vae.ranges import assert_at_least_one

__all__ = ["LogisticMixture"]


LIMIT = 7.0
"""Of the absolute value of a log-scale."""


class LogisticMixture(Likelihood):
    r"""Creates independent pixels of 256 grey levels, each of a mixture of rounded logistics.

    .. math:: P(k) = \sum_m \pi_m \left[ F\!\left(\tfrac{k + 1/2}{255}\right) -
        F\!\left(\tfrac{k - 1/2}{255}\right) \right], \qquad F(x) = \mathrm{sigmoid}\big((x - \mu_m) / s_m\big)

    The lowest level has all that lies below it, and the highest all above. Components begin spread
    over the range of pixels. A log-scale is kept within 7 of 0 by a hyperbolic tangent: a scale of
    e^-7 is a quarter of a level. Channels of colour images are independent given z.

    References:
        | PixelCNN++ (Salimans et al., 2017), section 2.1 (https://arxiv.org/abs/1701.05517).

    Arguments:
        num_components: M.

    Raises:
        ValueError: If there is no component.
    """

    channels = 15
    levels = 256
    start: Tensor

    def __init__(self, decoder: nn.Module, num_components: int = 5) -> None:
        super().__init__(decoder)
        assert_at_least_one("num_components", num_components)
        self.channels = 3 * num_components
        start = (torch.arange(float(num_components)) + 0.5) / num_components  # (M,)
        self.register_buffer("start", start, persistent=False)

    def pixels(self, parameters: Tensor) -> D.Distribution:
        logits, loc, log_scale = parameters.unflatten(0, (3, -1))  # (M, *, *image) each
        start = self.start.view(-1, *[1] * (loc.dim() - 1))
        scale = (LIMIT * ((log_scale - 2) / LIMIT).tanh()).exp()
        return DiscretizedLogisticMixture(logits, start + loc, scale, validate_args=False)
