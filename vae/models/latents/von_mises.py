"""Von Mises variables: angles."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vae.distributions.von_mises import VonMises
from vae.models.latents.positive import MIN_CIRCULAR_CONCENTRATION, PositiveLatent

__all__ = ["VonMisesLatent"]


class VonMisesLatent(PositiveLatent):
    r"""Creates D independent angles with von Mises distributions: latent variables on a circle.

    The features give the natural parameters, a vector :math:`\kappa (\cos\mu, \sin\mu)` for each
    angle, which, unlike the angle, can be a continuous function of the image all around the
    circle. The decoder reads :math:`(\cos z, \sin z)`.

    There is no ``rsample``: it takes a score function. The sampler rejects, with a data-dependent
    loop: it waits for the device, and cannot be captured in a CUDA graph.

    References:
        | Hyperspherical Variational Auto-Encoders (Davidson et al., 2018), in two dimensions.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number D of angles.
        learned_prior: Whether the prior's location and concentration are trained.
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
        super().__init__()
        if not prior_concentration >= 0:
            raise ValueError(
                f"prior_concentration must not be negative, got {prior_concentration}"
            )
        if learned_prior and prior_concentration == 0:
            raise ValueError("a learned prior needs a prior_concentration above 0 to start from")
        start = max(prior_concentration, MIN_CIRCULAR_CONCENTRATION)
        self._linear(in_features, (num_variables,), "cosine", "sine")
        self._prior(learned_prior, concentration=start)
        loc = torch.zeros(num_variables)
        if learned_prior:
            self.prior_loc = nn.Parameter(loc)
        else:
            self.register_buffer("prior_loc", loc)
        # the length of the vector at features of zero, less what the floor adds to it
        self.start = math.sqrt(start**2 - MIN_CIRCULAR_CONCENTRATION**2)
        self.code_features = 2 * num_variables

    def forward(self, features: Tensor) -> Distribution:
        cosine, sine = self._raw(features)  # (B, D) each
        cosine = cosine + self.start
        squared = cosine.square() + sine.square() + MIN_CIRCULAR_CONCENTRATION**2
        base = VonMises(sine.atan2(cosine), squared.sqrt(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        base = VonMises(self.prior_loc, self.prior_log_concentration.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return torch.cat([z.cos(), z.sin()], -1)
