"""Subsets of k of n items."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.distributions import Distribution

from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.distributions.plackett_luce import PlackettLuceSubset
from vae.distributions.subsets import Subset
from vae.models.latents.linear import LinearLatent

__all__ = ["ConditionalBernoulliLatent", "PlackettLuceLatent"]


class _SubsetLatent(LinearLatent):
    """Creates a vector of n zeros and k ones, with a uniform (or learned) prior of the same family.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number n of items.
        k: How many of them are ones.
        learned_prior: Whether the prior's logits are trained.

    Raises:
        ValueError: If k is not between 1 and n - 1.
    """

    prior_logits: Tensor
    family: ClassVar[type[Subset]]

    def __init__(
        self, in_features: int, num_variables: int, k: int, learned_prior: bool = False
    ) -> None:
        super().__init__(in_features, num_variables, learned_prior)
        if not 1 <= k < num_variables:
            raise ValueError(
                f"k must be from 1 to {num_variables - 1}, below num_variables, got {k}"
            )
        self.k = k
        self.logits = self.linear()
        self.add_prior_parameter("prior_logits")
        self.prior()  # whether the family takes k

    def forward(self, features: Tensor) -> Distribution:
        (logits,) = self.split(self.logits(features))  # (B, n)
        return self.family(self.k, logits, validate_args=False)

    def prior(self) -> Distribution:
        return self.family(self.k, self.prior_logits, validate_args=False)


class ConditionalBernoulliLatent(_SubsetLatent):
    """Creates n binary variables of which exactly k are ones, conditional Bernoulli.

    Everything about it is exact at any n and k: density, samples, marginals, entropy, KL.

    References:
        | SIMPLE: A Gradient Estimator for k-Subset Sampling (Ahmed et al., 2023), section 6
        | (https://arxiv.org/abs/2210.01941).

    Arguments:
        in_features: The width H of the features.
        num_variables: The number n of variables.
        k: How many of them are ones, from 1 to n - 1.
        learned_prior: Whether the prior's logits are trained; else it is uniform.
    """

    family = ConditionalBernoulli

    def __init__(
        self,
        in_features: int,
        num_variables: int = 50,
        k: int = 10,
        learned_prior: bool = False,
    ) -> None:
        super().__init__(in_features, num_variables, k, learned_prior)


class PlackettLuceLatent(_SubsetLatent):
    """Creates n binary variables of which exactly k are ones: the first k of a ranking.

    A density takes a sum over 2^k subsets. The KL has a closed form only where there are few sets,
    up to 3 of 20; of more, the ELBO takes ``analytic_kl: false``, and a score function.

    References:
        | Reparameterizable Subset Sampling via Continuous Relaxations (Xie & Ermon, 2019)
        | (https://arxiv.org/abs/1901.10517).

    Arguments:
        in_features: The width H of the features.
        num_variables: The number n of variables.
        k: How many of them are ones, from 1 to n - 1, at most 10.
        learned_prior: Whether the prior's logits are trained; else it is uniform.
    """

    family = PlackettLuceSubset

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        k: int = 3,
        learned_prior: bool = False,
    ) -> None:
        super().__init__(in_features, num_variables, k, learned_prior)
