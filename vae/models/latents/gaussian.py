"""Gaussian variables."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vae.distributions.normal import Normal
from vae.models.latents.base import Latent, assert_at_least_one, prior_parameter
from vae.models.networks import widen

__all__ = ["DiagonalGaussian"]


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
        assert_at_least_one("latent_dim", latent_dim)
        self.code_features = latent_dim
        self.parameters_of = nn.Linear(in_features, 2 * latent_dim)
        prior_parameter(self, "prior_loc", torch.zeros(latent_dim), learned_prior)
        prior_parameter(self, "prior_log_scale", torch.zeros(latent_dim), learned_prior)

    def forward(self, features: Tensor) -> Distribution:
        loc, log_scale = widen(self.parameters_of(features)).chunk(2, -1)  # (B, D) each
        return Independent(
            Normal(loc, log_scale.exp(), validate_args=False), 1, validate_args=False
        )

    def prior(self) -> Distribution:
        base = Normal(self.prior_loc, self.prior_log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)
