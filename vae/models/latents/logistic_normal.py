"""Logistic-normal variables: points of a simplex, by a softmax of Gaussian numbers."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.logistic_normal import LogisticNormal
from vae.models.latents.linear import LinearLatent

__all__ = ["LogisticNormalLatent"]


class LogisticNormalLatent(LinearLatent):
    r"""Creates L independent logistic-normal variables: points of a simplex of C categories each.

    Each is the softmax of C - 1 Gaussian numbers in an orthonormal basis, and its density lives on
    the simplex, as that of :class:`~vae.models.latents.dirichlet.DirichletLatent`. Unlike that one,
    its samples are reparameterized in closed form, and its KL is that of the Gaussians. The
    standard prior is the softmax of C standard Gaussian numbers.

    The decoder reads :math:`C z - 1`: with a linear decoder, a mixture of C topics.

    References:
        | Autoencoding Variational Inference for Topic Models (Srivastava & Sutton, 2017)
        | (https://arxiv.org/abs/1703.01488).

    Arguments:
        num_variables: L.
        num_categories: C.
    """

    prior_loc: Tensor
    prior_log_scale: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        num_categories: int = 10,
        learned_prior: bool = False,
    ) -> None:
        if num_categories < 2:
            raise ValueError(f"num_categories must be at least 2, got {num_categories}")
        super().__init__(in_features, num_variables, learned_prior)
        self.shape = (num_variables, num_categories - 1)  # of the Gaussian numbers
        self.code_features = num_variables * num_categories
        self.parameters_of = self.linear(2)
        self.add_prior_parameter("prior_loc")
        self.add_prior_parameter("prior_log_scale")

    def forward(self, features: Tensor) -> Distribution:
        loc, log_scale = self.split(self.parameters_of(features))  # (B, L, C - 1) each
        base = LogisticNormal(loc, log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        base = LogisticNormal(self.prior_loc, self.prior_log_scale.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return (z.shape[-1] * z - 1).flatten(-2)
