"""Power spherical variables: directions, points of a sphere."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.power_spherical import HypersphericalUniform, PowerSpherical
from vae.models.latents.linear import LinearLatent

__all__ = ["PowerSphericalLatent"]


LEAST_CONCENTRATION = 1e-6
"""Uniform on the sphere to six digits."""


class PowerSphericalLatent(LinearLatent):
    r"""Creates L independent unit vectors in d dimensions, with power spherical distributions.

    The features give a vector for each, whose direction is the mean direction and whose length
    times :math:`\sqrt d` is the concentration: so q(z|x) is a continuous function of the image all
    around the sphere. The prior is uniform; another one is a ``prior`` of its own, with a KL by
    samples. The decoder reads the vectors, times :math:`\sqrt d`: of unit variance under the prior.

    References:
        | The Power Spherical distribution (De Cao & Aziz, 2020; https://arxiv.org/abs/2006.04437).
        | Hyperspherical Variational Auto-Encoders (Davidson et al., 2018), which take von Mises-Fisher
        | distributions (https://arxiv.org/abs/1804.00891).

    Arguments:
        num_variables: L, the number of spheres.
        dim: d, the length of each vector: the sphere has d - 1 dimensions.
    """

    rsample_error = 4e-4  # that of the Gamma variable
    pole: Tensor

    def __init__(self, in_features: int, num_variables: int = 1, dim: int = 20) -> None:
        if dim < 2:
            raise ValueError(f"dim must be at least 2, got {dim}")
        super().__init__(in_features, num_variables, False, dim)
        self.parameters_of = self.linear()
        pole = torch.zeros(self.shape)
        pole[:, 0] = 1
        self.register_buffer("pole", pole, False)

    def forward(self, features: Tensor) -> Distribution:
        (vector,) = self.split(self.parameters_of(features))  # (B, L, d)
        vector = math.sqrt(self.shape[1]) * vector + LEAST_CONCENTRATION * self.pole
        length = vector.square().sum(-1).sqrt()
        tiny = torch.finfo(length.dtype).tiny
        base = PowerSpherical(
            vector / length.unsqueeze(-1).clamp_min(tiny), length, validate_args=False
        )
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        return Independent(
            HypersphericalUniform(self.pole, validate_args=False), 1, validate_args=False
        )

    def code(self, z: Tensor) -> Tensor:
        return (math.sqrt(self.shape[1]) * z).flatten(-2)
