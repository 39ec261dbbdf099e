"""Kumaraswamy variables: points between 0 and 1."""

from __future__ import annotations

import math

from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.gamma import Beta
from vae.distributions.kumaraswamy import Kumaraswamy, PowerFunction
from vae.models.latents.positive import PositiveLatent

__all__ = ["KumaraswamyLatent"]


class KumaraswamyLatent(PositiveLatent):
    r"""Creates D independent Kumaraswamy variables, in the unit interval, with a Beta prior.

    They look like Beta variables, and their samples are reparameterized in closed form: no
    derivative is approximated. Both families have the uniform distribution, the default prior.

    The decoder reads :math:`\sqrt{12} (z - 1/2)`, as of
    :class:`~vae.models.latents.beta.BetaLatent`.

    References:
        | Stick-Breaking Variational Autoencoders (Nalisnick & Smyth, 2017), section 4 and equation 11
        | (https://arxiv.org/abs/1605.06197).

    Arguments:
        prior_concentration1: The Beta prior's first shape; by default the prior is uniform.
        prior_concentration0: The Beta prior's second shape.
    """

    family = Kumaraswamy
    # as of a Beta: between 1 and its neighbour in float32 lies a probability of about 6e-8^b
    least = {"concentration1": 0.5, "concentration0": 0.5}

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_concentration1: float = 1.0,
        prior_concentration0: float = 1.0,
    ) -> None:
        super().__init__(
            in_features,
            num_variables,
            learned_prior,
            concentration1=prior_concentration1,
            concentration0=prior_concentration0,
        )

    def prior(self) -> Distribution:
        shapes = {name: getattr(self, f"prior_log_{name}").exp() for name in self.start}
        base: Distribution
        if self.start["concentration0"] == 1 and not self.learned_prior:
            base = PowerFunction(shapes["concentration1"], validate_args=False)  # a Beta too
        else:
            base = Beta(**shapes, validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return math.sqrt(12) * (z - 0.5)
