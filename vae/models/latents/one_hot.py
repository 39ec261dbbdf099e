"""One-hot variables."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.one_hot import OneHotCategorical
from vae.models.latents.linear import LinearLatent

__all__ = ["OneHot"]


class OneHot(LinearLatent):
    """Creates L independent one-hot variables of C categories, with a uniform (or learned) prior."""

    prior_logits: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        num_categories: int = 10,
        learned_prior: bool = False,
    ) -> None:
        super().__init__(in_features, num_variables, learned_prior, num_categories)
        self.logits = self.linear()
        self.add_prior_parameter("prior_logits")

    def forward(self, features: Tensor) -> Distribution:
        (logits,) = self.split(self.logits(features))  # (B, L, C)
        base = OneHotCategorical(logits=logits, validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        base = OneHotCategorical(logits=self.prior_logits, validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return z.flatten(-2)
