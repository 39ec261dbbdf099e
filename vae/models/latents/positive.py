"""What latent layers of positive parameters share.

Positive parameters are softplus of the features plus a floor, shifted so that features of zero
give q = prior: training starts near KL = 0. Priors are parameterized by logarithms.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vae.models.latents.base import Latent
from vae.models.networks import widen

__all__ = ["PositiveLatent", "assert_above", "positive"]


MIN_CONCENTRATION = 0.1
"""Of Gamma and Dirichlet. A Gamma variable of concentration a falls below float32's smallest
normal number with probability of about 1e-38^a: at 0.1, once in six thousand draws; at 0.01, in
two draws of five, and then neither its density nor its derivative means anything."""

MIN_BETA_CONCENTRATION = 0.5
"""Of Beta: between 1 and its neighbour in float32 lies a probability of about 6e-8^a."""

MIN_RATE = 1e-3
"""Of Gamma and Poisson."""

MIN_CIRCULAR_CONCENTRATION = 1e-6
"""Of von Mises variables: uniform on the circle to six digits; torch cannot sample at zero."""


# Layers
# ----------------------------------------------------------------------------------------


def positive(raw: Tensor, start: float, floor: float) -> Tensor:
    """softplus plus a floor, shifted so that 0 goes to ``start``."""
    above = start - floor
    return softplus(raw + (above + math.log(-math.expm1(-above)))) + floor


def assert_above(floor: float, **values: float) -> None:
    for name, value in values.items():
        if not value > floor:
            raise ValueError(f"{name} must be more than {floor:g}, got {value}")


class PositiveLatent(Latent):
    """What the layers share: one linear map to all parameters of q, and a prior by logarithms."""

    def _linear(self, in_features: int, shape: tuple[int, ...], *parameters: str) -> None:
        for size in shape:
            if size < 1:
                raise ValueError(f"the numbers of variables must be at least 1, got {shape}")
        self.shape, self.names = shape, parameters
        self.parameters_of = nn.Linear(in_features, len(parameters) * math.prod(shape))

    def _raw(self, features: Tensor) -> tuple[Tensor, ...]:
        """One tensor (B, *shape) for each parameter, in float32 or wider."""
        raw = widen(self.parameters_of(features))
        return raw.unflatten(-1, (len(self.names), *self.shape)).unbind(1)

    def _prior(self, learned: bool, **values: float) -> None:
        for name, value in values.items():
            log = torch.full(self.shape, math.log(value))
            if learned:
                self.register_parameter(f"prior_log_{name}", nn.Parameter(log))
            else:
                self.register_buffer(f"prior_log_{name}", log)
