"""Laplace variables."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.laplace import Laplace
from vae.models.latents.linear import LinearLatent

__all__ = ["LaplaceLatent"]


class LaplaceLatent(LinearLatent):
    r"""Creates D independent Laplace variables, with a standard (or learned) Laplace prior.

    .. math:: q(z|x) = \prod_d \tfrac{1}{2 b_d(x)} e^{-|z_d - \mu_d(x)| / b_d(x)}

    Its peak and its heavy tails let a prior be sparse.

    References:
        | The Laplace Distribution and Generalizations (Kotz, Kozubowski & Podgorski, 2001)
        | (https://doi.org/10.1007/978-1-4612-0173-1).
        | Disentangling Disentanglement in Variational Autoencoders (Mathieu et al., 2019)
        | (https://arxiv.org/abs/1812.02833), of sparse priors.

    Arguments:
        num_variables: D.
    """

    prior_loc: Tensor
    prior_log_scale: Tensor

    def __init__(
        self, in_features: int, num_variables: int = 20, learned_prior: bool = False
    ) -> None:
        super().__init__(in_features, num_variables, learned_prior)
        self.parameters_of = self.linear(2)
        self.add_prior_parameter("prior_loc")
        self.add_prior_parameter("prior_log_scale")

    def forward(self, features: Tensor) -> Distribution:
        loc, log_scale = self.split(self.parameters_of(features))  # (B, D) each
        base = Laplace(loc, log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Laplace(self.prior_loc, self.prior_log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)
