r"""The latent-distribution layer: features to :math:`q(z|x)`, together with the prior :math:`p(z)`.

A layer is the one place that knows how a family is parameterized. What comes out is a
:class:`torch.distributions.Distribution` with batch shape ``(B,)``; everything after it sees that
distribution only. The layer exposes both ways through the random node:

* :meth:`Latent.expectation` estimates :math:`\mathbb{E}_q[R(f(z_1), \dots, f(z_K))]` and its
  gradient with any estimator, pathwise or score function;
* :meth:`Latent.kl` gives :math:`\mathrm{KL}(q \| p)` in closed form, or by any estimator.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from vae.estimators import Estimate, Estimator, Integrand
from vae.objectives import ELBO, Objective
from vae.recorded import Recorded

__all__ = ["Latent", "assert_at_least_one", "prior_parameter"]


class Latent(nn.Module, metaclass=Recorded):
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


def prior_parameter(layer: nn.Module, name: str, value: Tensor, learned: bool) -> None:
    if learned:
        layer.register_parameter(name, nn.Parameter(value))
    else:
        layer.register_buffer(name, value)


def assert_at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
