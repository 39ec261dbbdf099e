"""Gaussian variables with a full covariance."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae.distributions.multivariate_normal import MultivariateNormal
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.networks import widen

__all__ = ["FullGaussian"]


class FullGaussian(DiagonalGaussian):
    r"""Creates D Gaussian variables that depend on one another given x; the prior is diagonal.

    .. math:: q(z|x) = \mathcal{N}\big(\mu(x), L(x) L(x)^\top\big), \qquad
        L = \mathrm{diag}(e^{s}) (I + A), \quad A \text{ strictly lower triangular}

    L has a positive diagonal whatever the network says, and A is free of scale. A starts at zero:
    training starts from a :class:`~vae.models.latents.gaussian.DiagonalGaussian`.

    References:
        | An Introduction to Variational Autoencoders (Kingma & Welling, 2019), section 2.5.1
        | (https://arxiv.org/abs/1906.02691).

    Arguments:
        latent_dim: D. The encoder says D (D + 3) / 2 numbers.
    """

    below: Tensor
    row: Tensor

    def __init__(
        self, in_features: int, latent_dim: int = 20, learned_prior: bool = False
    ) -> None:
        super().__init__(in_features, latent_dim, learned_prior)
        below = latent_dim * (latent_dim - 1) // 2
        self.below_of = nn.Linear(in_features, below) if below else None
        if self.below_of is not None:
            nn.init.zeros_(self.below_of.weight)
            nn.init.zeros_(self.below_of.bias)
        row, column = torch.tril_indices(latent_dim, latent_dim, -1)
        self.register_buffer("below", row * latent_dim + column, False)  # in a flat matrix
        self.register_buffer("row", row, False)

    def forward(self, features: Tensor) -> Distribution:
        loc, log_scale = self.split(self.parameters_of(features))  # (B, D) each
        scale = log_scale.exp()
        factor = torch.diag_embed(scale)
        if self.below_of is not None:
            relative = widen(self.below_of(features))  # (B, D (D - 1) / 2)
            entries = relative * scale.index_select(-1, self.row)
            factor = factor.flatten(-2).index_copy(-1, self.below, entries).view_as(factor)
        return MultivariateNormal(loc, scale_tril=factor, validate_args=False)
