"""Poisson variables: counts."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.gamma import Poisson
from vae.models.latents.positive import MIN_RATE, PositiveLatent, assert_above, positive

__all__ = ["PoissonLatent"]


class PoissonLatent(PositiveLatent):
    r"""Creates D independent Poisson variables: counts.

    The decoder reads :math:`\log(1 + z)`, which is differentiable at z = 0, where
    :math:`\sqrt z` is not. There is no ``rsample``: it takes a score function or a measure-valued
    derivative.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number D of variables.
        learned_prior: Whether the prior's rates are trained.
        prior_rate: The prior's rate.
    """

    prior_log_rate: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_rate: float = 1.0,
    ) -> None:
        super().__init__()
        assert_above(MIN_RATE, prior_rate=prior_rate)
        self._linear(in_features, (num_variables,), "rate")
        self._prior(learned_prior, rate=prior_rate)
        self.start = prior_rate
        self.code_features = num_variables

    def forward(self, features: Tensor) -> Distribution:
        (raw,) = self._raw(features)  # (B, D)
        base = Poisson(positive(raw, self.start, MIN_RATE), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        return Independent(
            Poisson(self.prior_log_rate.exp(), validate_args=False), 1, validate_args=False
        )

    def code(self, z: Tensor) -> Tensor:
        return z.log1p()
