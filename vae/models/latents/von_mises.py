"""Von Mises variables: angles."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.von_mises import VonMises
from vae.models.latents.linear import LinearLatent

__all__ = ["VonMisesLatent"]


LEAST_CONCENTRATION = 1e-6
"""Uniform on the circle to six digits; torch cannot sample at zero."""


class VonMisesLatent(LinearLatent):
    r"""Creates D independent angles with von Mises distributions: latent variables on a circle.

    The features give the natural parameters, a vector :math:`\kappa (\cos\mu, \sin\mu)` for each
    angle: unlike the angle, it can be a continuous function of the image all around the circle.
    The decoder reads :math:`(\cos z, \sin z)`.

    There is no ``rsample``: train by a score function. Sampling is by rejection, in a loop whose
    length depends on the data: it waits for the device, and no CUDA graph can capture it.

    References:
        | Hyperspherical Variational Auto-Encoders (Davidson et al., 2018), in two dimensions
        | (https://arxiv.org/abs/1804.00891).

    Arguments:
        prior_concentration: The prior's concentration around the angle 0; by default 0, uniform. A
            learned prior needs a positive one to start from.
    """

    prior_loc: Tensor
    prior_log_concentration: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_concentration: float = 0.0,
    ) -> None:
        super().__init__(in_features, num_variables, learned_prior)
        if not 0 <= prior_concentration < math.inf:
            raise ValueError(
                f"prior_concentration must not be negative or infinite, got {prior_concentration}"
            )
        if learned_prior and prior_concentration == 0:
            raise ValueError("a learned prior needs a prior_concentration above 0 to start from")
        start = max(prior_concentration, LEAST_CONCENTRATION)
        self.add_prior_parameter("prior_log_concentration", math.log(start))
        self.add_prior_parameter("prior_loc")
        self.parameters_of = self.linear(2)
        # the vector's length at features of zero, less what LEAST_CONCENTRATION adds to it
        self.start = math.sqrt(start**2 - LEAST_CONCENTRATION**2)
        self.code_features = 2 * num_variables

    def forward(self, features: Tensor) -> Distribution:
        cosine, sine = self.split(self.parameters_of(features))  # (B, D) each
        cosine = cosine + self.start
        squared = cosine.square() + sine.square() + LEAST_CONCENTRATION**2
        base = VonMises(sine.atan2(cosine), squared.sqrt(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        base = VonMises(self.prior_loc, self.prior_log_concentration.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return torch.cat([z.cos(), z.sin()], -1)
