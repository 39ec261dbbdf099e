"""A posterior that is a mixture of Gaussians."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution

from vae.distributions.gaussian_mixture import GaussianMixture
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.networks import widen

__all__ = ["GaussianMixtureLatent"]


class GaussianMixtureLatent(DiagonalGaussian):
    r"""Creates D variables whose posterior is a mixture of A diagonal Gaussians; the prior is one.

    .. math:: q(z|x) = \sum_a w_a(x) \, \mathcal{N}\big(\mu_a(x), \mathrm{diag}\,\sigma_a^2(x)\big)

    A sample is differentiated implicitly, in the weights too, and the path derivatives (pathwise,
    STL, DReG) are exact. The KL has no closed form: the ELBO needs ``analytic_kl=False``.

    References:
        | Stochastic Backpropagation through Mixture Density Distributions (Graves, 2016)
        | (https://arxiv.org/abs/1607.05690).
        | Implicit Reparameterization Gradients (Figurnov, Mohamed & Mnih, 2018)
        | (https://arxiv.org/abs/1805.08498).

    Arguments:
        latent_dim: D.
        num_components: A.

    Raises:
        ValueError: If a number is too small.
    """

    def __init__(
        self,
        in_features: int,
        latent_dim: int = 20,
        num_components: int = 5,
        learned_prior: bool = False,
    ) -> None:
        if num_components < 2:
            raise ValueError(f"num_components must be at least 2, got {num_components}")
        super().__init__(in_features, latent_dim, learned_prior)
        self.num_components = num_components
        self.parameters_of = self.linear(2 * num_components)
        self.weights_of = nn.Linear(in_features, num_components)

    def forward(self, features: Tensor) -> Distribution:
        raw = widen(self.parameters_of(features))
        loc, log_scale = raw.unflatten(-1, (2, self.num_components, -1)).unbind(-3)  # (B, A, D)
        logits = widen(self.weights_of(features))  # (B, A)
        return GaussianMixture(logits, loc, log_scale.exp(), validate_args=False)
