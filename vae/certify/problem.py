"""An expectation whose gradient is known: what a problem is, whatever the family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from vae.distributions.chain import Chain
from vae.distributions.operations import base_of
from vae.estimators import Integrand

__all__ = ["MOST_COORDINATES", "Problem", "is_gaussian", "problem_of", "weights"]


MOST_COORDINATES = 4
"""Of quadrature: those of K samples together."""


class Problem(NamedTuple):
    """An expectation whose gradient is known: a family, its parameters, and an integrand.

    Attributes:
        make_q: Parameters, each ``(B, *shape)``, to a distribution with batch shape (B,).
        parameters: The point at which the gradient is taken, each ``(*shape)``.
        f: The integrand; non-linear, non-separable, and with ``-log q(z)`` inside.
        log_target: log p(z), unnormalised: ``f = log_target - log q``.
    """

    make_q: Callable[..., Distribution]
    parameters: Sequence[Tensor]
    f: Integrand
    log_target: Callable[[Tensor], Tensor]


def weights(*shape: int, seed: int) -> Tensor:
    """Fixed normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem_of(
    make_q: Callable[..., Distribution], parameters: Sequence[Tensor], features: int
) -> Problem:
    """A problem of a family at some parameters.

    Arguments:
        make_q: From parameters to the distribution.
        parameters: The point at which the gradient is taken.
        features: How many entries a value has.
    """
    w, v = weights(4, features, seed=1), weights(4, seed=2)

    def log_target(z: Tensor) -> Tensor:
        flat = z.flatten(2) if z.dim() > 3 else z  # (K, B, D)
        return (torch.tanh(flat.to(w.dtype) @ w.T) @ v) - 0.1 * (flat.sum(-1) - 1) ** 2

    def f(z: Tensor, q: Distribution) -> Tensor:
        return log_target(z) - q.log_prob(z)

    return Problem(make_q, parameters, f, log_target)


def is_gaussian(q: Distribution) -> bool:
    """Whether expectations under ``q`` are taken by quadrature over standard normal noise."""
    base = base_of(q)
    return isinstance(base_of(base.first) if isinstance(base, Chain) else base, Normal)
