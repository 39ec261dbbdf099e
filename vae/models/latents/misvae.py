"""A mixture of Gaussians whose components share one encoder."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution

from vae.distributions.gaussian_mixture import StratifiedGaussianMixture
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.networks import widen

__all__ = ["MISVAELatent"]


class MISVAELatent(DiagonalGaussian):
    r"""Creates D variables with a mixture of A Gaussians, by one encoder that is told the component.

    .. math:: q(z|x) = \frac1A \sum_{a=1}^A \mathcal{N}\big(\mu(x, a), \mathrm{diag}\,\sigma^2(x, a)\big)

    A hidden layer reads the features and, as a one-hot vector, which component is asked for: its
    size, and that of all above it, does not grow with A. K samples of the ELBO are of K different
    components, drawn without replacement, and all A are in the density: the some-to-all estimate of
    the MISELBO, unbiased for every K (S, with the authors). K = A is all to all. The authors' other
    estimate, with a subset in the denominator too, is of another, looser bound, and not here.

    Importance-weighted bounds need independent samples: train them by a score function, or
    :class:`~vae.models.latents.gaussian_mixture.GaussianMixtureLatent`. The KL has no closed form:
    the ELBO needs ``analytic_kl=False``.

    References:
        | Efficient Mixture Learning in Black-Box Variational Inference (Hotti et al., 2024)
        | (https://arxiv.org/abs/2406.07083).
        | Multiple Importance Sampling ELBO and Deep Ensembles of Variational Approximations
        | (Kviman et al., 2022; https://arxiv.org/abs/2202.10951).

    Arguments:
        latent_dim: D.
        num_components: A.
        hidden: The width of the layer that reads the component.

    Raises:
        ValueError: If a number is too small.
    """

    def __init__(
        self,
        in_features: int,
        latent_dim: int = 20,
        num_components: int = 10,
        hidden: int = 200,
        learned_prior: bool = False,
    ) -> None:
        for name, number, least in (("num_components", num_components, 2), ("hidden", hidden, 1)):
            if number < least:
                raise ValueError(f"{name} must be at least {least}, got {number}")
        super().__init__(in_features, latent_dim, learned_prior)
        self.num_components = num_components
        self.hidden = nn.Linear(in_features, hidden)
        self.component = nn.Embedding(num_components, hidden)  # what a one-hot vector adds
        self.parameters_of = nn.Linear(hidden, 2 * latent_dim)

    def forward(self, features: Tensor) -> Distribution:
        hidden = self.hidden(features).unsqueeze(-2) + self.component.weight  # (B, A, H)
        loc, log_scale = widen(self.parameters_of(hidden.relu())).chunk(2, -1)  # (B, A, D)
        return StratifiedGaussianMixture(loc, log_scale.exp(), validate_args=False)
