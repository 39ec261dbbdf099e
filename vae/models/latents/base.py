r"""The latent-distribution layer: features to :math:`q(z|x)`, together with the prior :math:`p(z)`.

Only a layer knows how its family is parameterized. It returns a
:class:`torch.distributions.Distribution` with batch shape ``(B,)``, and everything after it sees
that distribution only. There are two ways through the random node:

* :meth:`Latent.expectation` estimates :math:`\mathbb{E}_q[R(f(z_1), \dots, f(z_K))]` and its
  gradient with any estimator, pathwise or score function;
* :meth:`Latent.kl` gives :math:`\mathrm{KL}(q \| p)` in closed form, or by any estimator.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from vae.distributions.operations import describe
from vae.estimators import Estimate, Estimator, Integrand
from vae.objectives import ELBO, Objective
from vae.recorded import Recorded

__all__ = ["Latent"]


class Latent(nn.Module, metaclass=Recorded):
    """Maps features ``(B, H)`` to q(z|x), and owns the prior.

    A layer of one's own takes the width of the features first, sets ``code_features``, and needs
    :meth:`forward` and :meth:`prior`. Where the two have no closed-form KL, the ELBO needs
    ``analytic_kl=False``, or :func:`torch.distributions.kl.register_kl`.

    Attributes:
        code_features: The width D of what the decoder reads.
        rsample_error: The largest relative error of the sample's derivative in a parameter, between
            its 1st and 99th percentile; 0 where it is exact.
        takes_prior: Whether a prior may take the place of the layer's own.
        shares_prior: Whether that is a prior over the latents of :attr:`hard`, where these are
            others, which :meth:`embed` makes one of this layer's.

    Example:
        >>> import torch
        >>> from torch.distributions import Cauchy, Independent
        >>> class CauchyLatent(Latent):
        ...     def __init__(self, in_features, num_variables=20):
        ...         super().__init__()
        ...         self.code_features = num_variables
        ...         self.loc_and_log_scale = nn.Linear(in_features, 2 * num_variables)
        ...         self.register_buffer("zeros", torch.zeros(num_variables))
        ...
        ...     def forward(self, features):
        ...         loc, log_scale = self.loc_and_log_scale(features).chunk(2, -1)
        ...         return Independent(Cauchy(loc, log_scale.exp()), 1)
        ...
        ...     def prior(self):
        ...         return Independent(Cauchy(self.zeros, 1.0), 1)
        >>> layer = CauchyLatent(in_features=400, num_variables=3)
        >>> q = layer(torch.randn(5, 400))
        >>> q.batch_shape, q.event_shape, layer.kl(q).shape
        (torch.Size([5]), torch.Size([3]), torch.Size([5]))
    """

    code_features: int
    rsample_error: float = 0.0
    takes_prior: bool = True
    shares_prior: bool = False

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """q(z|x), with batch shape (B,)."""

    @abstractmethod
    def prior(self) -> Distribution:
        """p(z), with batch shape ()."""

    def code(self, z: Tensor) -> Tensor:
        """What the decoder reads: latents ``(*, *event)`` to ``(*, D)``."""
        return z

    def embed(self, prior: Distribution) -> Distribution:
        """p(z) as this layer has it, of a prior over the latents of :attr:`hard`."""
        return prior

    def auxiliary(self, q: Distribution) -> Tensor | float:
        """A loss of the layer's own, with shape (), that is minimised beside the negative bound."""
        return 0.0

    def logged(self) -> dict[str, Tensor]:
        """Numbers, each with shape (), that training logs of the layer."""
        return {}

    @property
    def hard(self) -> Latent:
        """The exact layer that this one relaxes, for every evaluated number; itself, if it is exact."""
        return self

    def expectation(
        self,
        features: Tensor,
        f: Integrand,
        objective: Objective,
        estimator: Estimator,
        context: Tensor | None = None,
    ) -> Estimate:
        """E_q[R(f)] with shape (B,), and the gradient that ``estimator`` gives it."""
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

    def kl_per_variable(self, q: Distribution, prior: Distribution | None = None) -> Tensor:
        """KL(q(z_d) || prior(z_d)) of each of D independent variables, in nats, with shape (B, D).

        Arguments:
            q: The posterior.
            prior: The prior; by default the layer's own.

        Raises:
            NotImplementedError: If there is no closed form, or the variables of one of the two are
                not independent.
        """
        p = self.prior() if prior is None else prior
        for one in (q, p):
            if not isinstance(one, Independent) or one.reinterpreted_batch_ndims != 1:
                raise NotImplementedError(
                    f"{describe(one)} does not say the KL of each latent variable: it is no product"
                )
        assert isinstance(q, Independent) and isinstance(p, Independent)
        return kl_divergence(q.base_dist, p.base_dist.expand(q.base_dist.batch_shape))
