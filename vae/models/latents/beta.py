"""Beta variables: points between 0 and 1."""

from __future__ import annotations

import math

from torch import Tensor

from vae.distributions.gamma import Beta
from vae.models.latents.positive import PositiveLatent

__all__ = ["BetaLatent"]


class BetaLatent(PositiveLatent):
    r"""Creates D independent Beta variables, in the unit interval.

    The decoder reads :math:`\sqrt{12} (z - 1/2)`: bounded, and of unit variance under the uniform
    prior. (On the 8 x 8 digits, 8 variables: -17.8 nats, as logit z; 2 z - 1: -18.0.)

    References:
        | Pathwise Derivatives Beyond the Reparameterization Trick (Jankowiak & Obermeyer, 2018)
        | (https://arxiv.org/abs/1806.01851).

    Arguments:
        prior_concentration1: The prior's first shape; by default the prior is uniform.
        prior_concentration0: The prior's second shape.
    """

    family = Beta
    # at shape a, between 1 and its neighbour in float32 lies a probability of about 6e-8^a
    least = {"concentration1": 0.5, "concentration0": 0.5}
    rsample_error = 1.5e-3

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_concentration1: float = 1.0,
        prior_concentration0: float = 1.0,
    ) -> None:
        super().__init__(
            in_features,
            num_variables,
            learned_prior,
            concentration1=prior_concentration1,
            concentration0=prior_concentration0,
        )

    def code(self, z: Tensor) -> Tensor:
        return math.sqrt(12) * (z - 0.5)
