"""Beta variables: points between 0 and 1."""

from __future__ import annotations

import math

from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.gamma import Beta
from vae.models.latents.positive import (
    MIN_BETA_CONCENTRATION,
    PositiveLatent,
    assert_above,
    positive,
)

__all__ = ["BetaLatent"]


class BetaLatent(PositiveLatent):
    r"""Creates D independent Beta variables, in the unit interval.

    The decoder reads :math:`\sqrt{12} (z - 1/2)`: bounded, and of unit variance under the uniform
    prior. (On the 8 x 8 digits, 8 variables: -17.8 nats, as logit z; 2 z - 1: -18.0.)

    References:
        | Pathwise Derivatives Beyond the Reparameterization Trick (Jankowiak & Obermeyer, 2018),
        | https://arxiv.org/abs/1806.01851.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number D of variables.
        learned_prior: Whether the prior's parameters are trained.
        prior_concentration1: The prior's first shape; by default the prior is uniform.
        prior_concentration0: The prior's second shape.
    """

    rsample_error = 1.5e-3
    prior_log_concentration1: Tensor
    prior_log_concentration0: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_concentration1: float = 1.0,
        prior_concentration0: float = 1.0,
    ) -> None:
        super().__init__()
        prior = {
            "concentration1": prior_concentration1,
            "concentration0": prior_concentration0,
        }
        assert_above(
            MIN_BETA_CONCENTRATION, **{f"prior_{name}": value for name, value in prior.items()}
        )
        self._linear(in_features, (num_variables,), *prior)
        self._prior(learned_prior, **prior)
        self.start = (prior_concentration1, prior_concentration0)
        self.code_features = num_variables

    def forward(self, features: Tensor) -> Distribution:
        one, zero = (
            positive(raw, start, MIN_BETA_CONCENTRATION)
            for raw, start in zip(self._raw(features), self.start, strict=True)
        )  # (B, D) each
        return Independent(Beta(one, zero, validate_args=False), 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Beta(
            self.prior_log_concentration1.exp(),
            self.prior_log_concentration0.exp(),
            validate_args=False,
        )
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return math.sqrt(12) * (z - 0.5)
