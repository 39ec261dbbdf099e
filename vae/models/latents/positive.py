"""What the latent layers with positive parameters share.

A parameter of q is the softplus of a feature plus a floor, shifted so that features of zero give
the prior: training starts near KL = 0. The prior is parameterized by logarithms.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from vae.models.latents.linear import LinearLatent

__all__ = ["LEAST_CONCENTRATION", "LEAST_RATE", "PositiveLatent", "positive"]


LEAST_CONCENTRATION = 0.1
"""Of Gamma and Dirichlet variables. One of concentration a falls below float32's smallest normal
number with probability of about 1e-38^a: at 0.1 in one draw of six thousand, at 0.01 in two of
five, and then neither its density nor its derivative means anything."""

LEAST_RATE = 1e-3
"""Of Gamma and Poisson variables."""


def positive(raw: Tensor, start: float, least: float) -> Tensor:
    """Any number to one above ``least``, with 0 to ``start``."""
    above = start - least
    return softplus(raw + (above + math.log(-math.expm1(-above)))) + least


class PositiveLatent(LinearLatent):
    """A layer of independent variables of one family, all of whose parameters are positive.

    Arguments:
        prior: The prior's parameters, by name.

    Attributes:
        family: The distribution of one variable.
        least: What each of its parameters stays above, by name.
    """

    family: ClassVar[Any]
    least: ClassVar[dict[str, float]]

    def __init__(
        self,
        in_features: int,
        num_variables: int,
        learned_prior: bool,
        num_categories: int | None = None,
        **prior: float,
    ) -> None:
        super().__init__(in_features, num_variables, learned_prior, num_categories)
        for name, value in prior.items():
            if not self.least[name] < value < math.inf:
                raise ValueError(
                    f"prior_{name} must be more than {self.least[name]:g} and finite, got {value}"
                )
            self.add_prior_parameter(f"prior_log_{name}", math.log(value))
        self.start = prior
        self.parameters_of = self.linear(len(prior))

    def forward(self, features: Tensor) -> Distribution:
        raw = self.split(self.parameters_of(features))  # (B, *shape) each
        return self._independent(
            {
                name: positive(value, start, self.least[name])
                for value, (name, start) in zip(raw, self.start.items(), strict=True)
            }
        )

    def prior(self) -> Distribution:
        return self._independent(
            {name: getattr(self, f"prior_log_{name}").exp() for name in self.start}
        )

    def _independent(self, parameters: dict[str, Tensor]) -> Distribution:
        base = self.family(**parameters, validate_args=False)
        return Independent(base, 1, validate_args=False)
