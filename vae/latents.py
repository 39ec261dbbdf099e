r"""The latent-distribution layer: features to :math:`q(z|x)`, together with the prior
:math:`p(z)`.

A layer is the one place that knows how a family is parameterized. What comes out is a
:class:`torch.distributions.Distribution` with batch shape ``(B,)``; everything after it sees that
distribution only. The layer exposes both ways through the random node:

* :meth:`Latent.expectation` estimates :math:`\mathbb{E}_q[R(f(z_1), \dots, f(z_K))]` and its
  gradient with any estimator, pathwise or score function;
* :meth:`Latent.kl` gives :math:`\mathrm{KL}(q \| p)` in closed form, or by any estimator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vae.bernoulli import Bernoulli
from vae.distributions import (
    ExpRelaxedOneHotCategorical,
    OneHotCategorical,
    kl_divergence,
    logits_of,
)
from vae.estimators import Estimate, Estimator, Integrand
from vae.networks import widen
from vae.normal import Normal
from vae.objectives import ELBO, Objective

__all__ = ["LATENTS", "Binary", "DiagonalGaussian", "Latent", "OneHot", "RelaxedOneHot"]


class Latent(nn.Module, ABC):
    """Maps features ``(B, H)`` to q(z|x), and owns the prior.

    Attributes:
        code_features: The width D of what the decoder reads.
        rsample_error: The largest relative error of the sample's derivative in a parameter, between
            its 1st and 99th percentile; 0 where it is exact.
    """

    code_features: int
    rsample_error: float = 0.0

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """q(z|x), with batch shape (B,)."""

    @abstractmethod
    def prior(self) -> Distribution:
        """p(z), with batch shape ()."""

    def code(self, z: Tensor) -> Tensor:
        """What the decoder reads: latents ``(*, *event)`` to ``(*, D)``."""
        return z

    @property
    def hard(self) -> Latent:
        """The exact family whose relaxation this is; itself, unless it is one. Every evaluated
        number uses it."""
        return self

    def expectation(
        self,
        features: Tensor,
        f: Integrand,
        objective: Objective,
        estimator: Estimator,
        context: Tensor | None = None,
    ) -> Estimate:
        """E_q[R(f)], with the gradient that ``estimator`` gives it; shape (B,)."""
        return estimator(self(features), f, objective, context)

    def kl(
        self,
        q: Distribution,
        prior: Distribution | None = None,
        estimator: Estimator | None = None,
        num_samples: int = 1,
    ) -> Tensor:
        """KL(q || prior) in nats, with shape (B,).

        Arguments:
            q: The posterior.
            prior: The prior; by default the layer's own.
            estimator: None for the closed form; else the Monte-Carlo estimate of this estimator,
                whose gradient is the estimator's.
            num_samples: Samples of the Monte-Carlo estimate.

        Raises:
            NotImplementedError: If there is no closed form, or the estimator is not defined for
                the family.
        """
        prior = self.prior() if prior is None else prior
        if estimator is None:
            return kl_divergence(q, prior.expand(q.batch_shape))

        def log_ratio(z: Tensor, q: Distribution) -> Tensor:
            return q.log_prob(z) - prior.log_prob(z)

        return estimator(q, log_ratio, ELBO(num_samples)).bound


def _prior_parameter(layer: nn.Module, name: str, value: Tensor, learned: bool) -> None:
    if learned:
        layer.register_parameter(name, nn.Parameter(value))
    else:
        layer.register_buffer(name, value)


class DiagonalGaussian(Latent):
    r"""Creates :math:`q(z|x) = \mathcal{N}(\mu(x), \mathrm{diag}\,\sigma^2(x))` with a standard
    (or learned) Gaussian prior.

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), appendix B
        | (https://arxiv.org/abs/1312.6114).

    Arguments:
        in_features: The width H of the features.
        latent_dim: The number D of latent variables.
        learned_prior: Whether the prior's location and scale are trained.
    """

    prior_loc: Tensor
    prior_log_scale: Tensor

    def __init__(
        self, in_features: int, latent_dim: int = 20, learned_prior: bool = False
    ) -> None:
        super().__init__()
        _at_least_one("latent_dim", latent_dim)
        self.code_features = latent_dim
        self.parameters_of = nn.Linear(in_features, 2 * latent_dim)
        _prior_parameter(self, "prior_loc", torch.zeros(latent_dim), learned_prior)
        _prior_parameter(self, "prior_log_scale", torch.zeros(latent_dim), learned_prior)

    def forward(self, features: Tensor) -> Distribution:
        loc, log_scale = widen(self.parameters_of(features)).chunk(2, -1)  # (B, D) each
        return Independent(
            Normal(loc, log_scale.exp(), validate_args=False), 1, validate_args=False
        )

    def prior(self) -> Distribution:
        base = Normal(self.prior_loc, self.prior_log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)


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
        _at_least_one("num_variables", num_variables)
        self.code_features = num_variables
        self.logits = nn.Linear(in_features, num_variables)
        _prior_parameter(self, "prior_logits", torch.zeros(num_variables), learned_prior)

    def forward(self, features: Tensor) -> Distribution:
        base = Bernoulli(logits=widen(self.logits(features)), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Bernoulli(logits=self.prior_logits, validate_args=False)
        return Independent(base, 1, validate_args=False)


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
        _at_least_one("num_variables", num_variables)
        if num_categories < 2:
            raise ValueError(f"num_categories must be at least 2, got {num_categories}")
        self.shape = (num_variables, num_categories)
        self.code_features = num_variables * num_categories
        self.logits = nn.Linear(in_features, num_variables * num_categories)
        _prior_parameter(self, "prior_logits", torch.zeros(self.shape), learned_prior)

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


class RelaxedOneHot(Latent):
    r"""Creates the Concrete relaxation of a :class:`OneHot` layer: z is the *logarithm* of a
    point of each simplex.

    Here the relaxation is the model: posterior and prior are relaxed, the pathwise gradient is
    exact, and the KL is the Monte-Carlo density ratio of the two Concrete distributions, the only
    choice that bounds the relaxed model's likelihood. In closed form, :meth:`kl` is that of the
    discrete variables.

    References:
        | The Concrete Distribution (Maddison et al., 2017), section 3.3 and appendix C
        | (https://arxiv.org/abs/1611.00712).

    Arguments:
        in_features: The width H of the features.
        num_variables: The number L of variables.
        num_categories: The number C of categories of each.
        learned_prior: Whether the prior's logits are trained.
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
        for value in (temperature, prior_temperature):
            if not value > 0:
                raise ValueError(f"temperature must be positive, got {value}")
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

        def hard(q: Distribution) -> Distribution:
            return Independent(
                OneHotCategorical(logits=logits_of(q), validate_args=False), 1, validate_args=False
            )

        return self.discrete.kl(hard(q), hard(self.prior() if prior is None else prior))


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


LATENTS: dict[str, type[Latent]] = {
    "gaussian": DiagonalGaussian,
    "binary": Binary,
    "one_hot": OneHot,
    "relaxed_one_hot": RelaxedOneHot,
}
