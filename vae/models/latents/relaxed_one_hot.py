"""The Concrete relaxation of one-hot variables, as the model itself."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.concrete import ExpRelaxedOneHotCategorical
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import logits_of
from vae.estimators import Estimator
from vae.models.latents.base import Latent
from vae.models.latents.one_hot import OneHot

__all__ = ["RelaxedOneHot"]


class RelaxedOneHot(Latent):
    r"""Creates the Concrete relaxation of a :class:`OneHot` layer.

    A sample z is the *logarithm* of a point of each simplex. Here the relaxation is the model:
    posterior and prior are relaxed, the pathwise gradient is exact, and the KL is the Monte-Carlo
    density ratio of the two Concrete distributions, the only choice that bounds the relaxed model's
    likelihood. In closed form, :meth:`kl` is that of the discrete variables.

    References:
        | The Concrete Distribution (Maddison et al., 2017), section 3.3 and appendix C
        | (https://arxiv.org/abs/1611.00712).

    Arguments:
        in_features: The width H of the features.
        num_variables: The number of latent variables.
        num_categories: The number of categories of each variable.
        learned_prior: Whether the prior's parameters are trained.
        temperature: The posterior's temperature, a buffer that a schedule may fill.
        prior_temperature: The prior's temperature.
    """

    temperature: Tensor
    prior_temperature: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        num_categories: int = 10,
        learned_prior: bool = False,
        temperature: float = 2 / 3,
        prior_temperature: float = 0.5,
    ) -> None:
        super().__init__()
        for name, value in [
            ("temperature", temperature),
            ("prior_temperature", prior_temperature),
        ]:
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {value}")
        self.discrete = OneHot(in_features, num_variables, num_categories, learned_prior)
        self.code_features = self.discrete.code_features
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self.register_buffer("prior_temperature", torch.tensor(float(prior_temperature)))

    def _relax(self, q: Distribution, temperature: Tensor) -> Distribution:
        base = ExpRelaxedOneHotCategorical(temperature, logits=logits_of(q), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def forward(self, features: Tensor) -> Distribution:
        return self._relax(self.discrete(features), self.temperature)

    def prior(self) -> Distribution:
        return self._relax(self.discrete.prior(), self.prior_temperature)

    def code(self, z: Tensor) -> Tensor:
        return z.exp().flatten(-2)

    @property
    def hard(self) -> Latent:
        return self.discrete

    def kl(
        self,
        q: Distribution,
        prior: Distribution | None = None,
        estimator: Estimator | None = None,
        num_samples: int = 1,
    ) -> Tensor:
        if estimator is not None:
            return super().kl(q, prior, estimator, num_samples)

        return self.discrete.kl(_hard(q), _hard(self.prior() if prior is None else prior))

    def kl_per_variable(self, q: Distribution, prior: Distribution | None = None) -> Tensor:
        return self.discrete.kl_per_variable(
            _hard(q), _hard(self.prior() if prior is None else prior)
        )


def _hard(q: Distribution) -> Distribution:
    """The one-hot variables of the same logits."""
    return Independent(
        OneHotCategorical(logits=logits_of(q), validate_args=False), 1, validate_args=False
    )
