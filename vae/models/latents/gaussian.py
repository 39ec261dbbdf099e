"""Gaussian variables."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.normal import Normal
from vae.models.latents.linear import LinearLatent

__all__ = ["DiagonalGaussian"]


class DiagonalGaussian(LinearLatent):
    r"""Creates D independent Gaussian variables, with a standard (or learned) Gaussian prior.

    .. math:: q(z|x) = \mathcal{N}(\mu(x), \mathrm{diag}\,\sigma^2(x))

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), appendix B
        | (https://arxiv.org/abs/1312.6114).

    Arguments:
        latent_dim: The number of latent variables.
    """

    prior_loc: Tensor
    prior_log_scale: Tensor

    def __init__(
        self, in_features: int, latent_dim: int = 20, learned_prior: bool = False
    ) -> None:
        super().__init__(in_features, latent_dim, learned_prior, name="latent_dim")
        self.parameters_of = self.linear(2)
        self.add_prior_parameter("prior_loc")
        self.add_prior_parameter("prior_log_scale")

    def forward(self, features: Tensor) -> Distribution:
        loc, log_scale = self.split(self.parameters_of(features))  # (B, D) each
        base = Normal(loc, log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Normal(self.prior_loc, self.prior_log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)
