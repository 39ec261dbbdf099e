"""Bernoulli variables."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vae.distributions.bernoulli import Bernoulli
from vae.models.latents.base import Latent, assert_at_least_one, prior_parameter
from vae.models.networks import widen

__all__ = ["Binary"]


class Binary(Latent):
    """Creates D independent Bernoulli variables, with a uniform (or learned) prior.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number D of variables.
        learned_prior: Whether the prior's logits are trained.
    """

    prior_logits: Tensor

    def __init__(
        self, in_features: int, num_variables: int = 200, learned_prior: bool = False
    ) -> None:
        super().__init__()
        assert_at_least_one("num_variables", num_variables)
        self.code_features = num_variables
        self.logits = nn.Linear(in_features, num_variables)
        prior_parameter(self, "prior_logits", torch.zeros(num_variables), learned_prior)

    def forward(self, features: Tensor) -> Distribution:
        base = Bernoulli(logits=widen(self.logits(features)), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Bernoulli(logits=self.prior_logits, validate_args=False)
        return Independent(base, 1, validate_args=False)
