"""Bernoulli variables."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.bernoulli import Bernoulli
from vae.models.latents.linear import LinearLatent

__all__ = ["Binary"]


class Binary(LinearLatent):
    """Creates D independent Bernoulli variables, with a uniform (or learned) prior."""

    prior_logits: Tensor

    def __init__(
        self, in_features: int, num_variables: int = 200, learned_prior: bool = False
    ) -> None:
        super().__init__(in_features, num_variables, learned_prior)
        self.logits = self.linear()
        self.add_prior_parameter("prior_logits")

    def forward(self, features: Tensor) -> Distribution:
        (logits,) = self.split(self.logits(features))  # (B, D)
        return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Bernoulli(logits=self.prior_logits, validate_args=False)
        return Independent(base, 1, validate_args=False)
