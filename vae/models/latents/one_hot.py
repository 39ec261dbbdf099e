"""One-hot variables."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vae.distributions.one_hot import OneHotCategorical
from vae.models.latents.base import Latent, assert_at_least_one, prior_parameter
from vae.models.networks import widen

__all__ = ["OneHot"]


class OneHot(Latent):
    """Creates L independent one-hot variables of C categories, with a uniform (or learned) prior.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number L of variables.
        num_categories: The number C of categories of each.
        learned_prior: Whether the prior's logits are trained.
    """

    prior_logits: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        num_categories: int = 10,
        learned_prior: bool = False,
    ) -> None:
        super().__init__()
        assert_at_least_one("num_variables", num_variables)
        if num_categories < 2:
            raise ValueError(f"num_categories must be at least 2, got {num_categories}")
        self.shape = (num_variables, num_categories)
        self.code_features = num_variables * num_categories
        self.logits = nn.Linear(in_features, num_variables * num_categories)
        prior_parameter(self, "prior_logits", torch.zeros(self.shape), learned_prior)

    def forward(self, features: Tensor) -> Distribution:
        logits = widen(self.logits(features)).unflatten(-1, self.shape)  # (B, L, C)
        return Independent(
            OneHotCategorical(logits=logits, validate_args=False), 1, validate_args=False
        )

    def prior(self) -> Distribution:
        base = OneHotCategorical(logits=self.prior_logits, validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return z.flatten(-2)
