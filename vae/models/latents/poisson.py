"""Poisson variables: counts."""

from __future__ import annotations

from torch import Tensor

from vae.distributions.gamma import Poisson
from vae.models.latents.positive import LEAST_RATE, PositiveLatent

__all__ = ["PoissonLatent"]


class PoissonLatent(PositiveLatent):
    r"""Creates D independent Poisson variables: counts.

    The decoder reads log(1 + z), which is differentiable at z = 0, where the square root is not.
    There is no ``rsample``: train by a score function or a measure-valued derivative.

    Arguments:
        prior_rate: The prior's rate.
    """

    family = Poisson
    least = {"rate": LEAST_RATE}

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_rate: float = 1.0,
    ) -> None:
        super().__init__(in_features, num_variables, learned_prior, rate=prior_rate)

    def code(self, z: Tensor) -> Tensor:
        return z.log1p()
