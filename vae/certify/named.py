"""The estimators of ``ESTIMATORS`` as their tests build them: by name, bound to an example model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal, kl_divergence

from vae.certify.problems import cases
from vae.estimators import ESTIMATORS, Estimator, named

__all__ = ["ExampleModel", "example", "named_cases"]


class ExampleModel:
    """A model with one Gaussian latent variable and one binary pixel, without parameters."""

    def posterior(self, x: Tensor) -> Distribution:
        return Independent(Normal(x, torch.ones_like(x)), 1)

    def decode(self, z: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=z), 1)

    def prior(self) -> Distribution:
        base = Normal(torch.zeros(1), torch.ones(1), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def kl(self, q: Distribution) -> Tensor:
        return kl_divergence(q, self.prior().expand(q.batch_shape))

    def kl_per_variable(self, q: Distribution) -> Tensor:
        return self.kl(q)[:, None]


def example(name: str, options: Mapping[str, Any] | None = None) -> Estimator:
    """The estimator of a name, bound to :class:`ExampleModel`.

    Arguments:
        name: A name in ``ESTIMATORS``.
        options: Arguments of its class or function.
    """
    estimator = named(name, options)
    estimator.bind(ExampleModel())
    return estimator


def named_cases() -> list[tuple[str, str, str]]:
    """All (estimator, problem, objective), by name, that the claims of ``ESTIMATORS`` promise."""
    return [(name, family, key) for name in ESTIMATORS for family, key in cases(example(name))]
