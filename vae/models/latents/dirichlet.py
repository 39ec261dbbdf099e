"""Dirichlet variables: points of a simplex."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.gamma import Dirichlet
from vae.models.latents.positive import MIN_CONCENTRATION, PositiveLatent, assert_above, positive

__all__ = ["DirichletLatent"]


class DirichletLatent(PositiveLatent):
    r"""Creates L independent Dirichlet variables: points of a simplex of C categories each.

    The decoder reads :math:`C z - 1`: the point, centred and of about unit variance under the
    uniform prior; with a linear decoder, a mixture of C topics. (On the 8 x 8 digits, 4 variables
    of 4 categories: -18.1 nats; z: -19.6, log z: -18.7.)

    References:
        | Pathwise Derivatives Beyond the Reparameterization Trick (Jankowiak & Obermeyer, 2018),
        | https://arxiv.org/abs/1806.01851.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number L of variables.
        num_categories: The number C of categories of each.
        learned_prior: Whether the prior's parameters are trained.
        prior_concentration: The prior's symmetric concentration; by default the prior is uniform
            on the simplex, below 1 it is sparse.
    """

    rsample_error = 1.5e-3
    prior_log_concentration: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        num_categories: int = 10,
        learned_prior: bool = False,
        prior_concentration: float = 1.0,
    ) -> None:
        super().__init__()
        if num_categories < 2:
            raise ValueError(f"num_categories must be at least 2, got {num_categories}")
        assert_above(MIN_CONCENTRATION, prior_concentration=prior_concentration)
        self._linear(in_features, (num_variables, num_categories), "concentration")
        self._prior(learned_prior, concentration=prior_concentration)
        self.start = prior_concentration
        self.code_features = num_variables * num_categories

    def forward(self, features: Tensor) -> Distribution:
        (raw,) = self._raw(features)  # (B, L, C)
        concentration = positive(raw, self.start, MIN_CONCENTRATION)
        return Independent(Dirichlet(concentration, validate_args=False), 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Dirichlet(self.prior_log_concentration.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return (self.shape[-1] * z - 1).flatten(-2)
