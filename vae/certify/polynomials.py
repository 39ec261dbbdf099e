"""Problems whose integrand is of the class for which a biased estimator claims to be exact."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.certify.problem import Problem

__all__ = ["of_class"]


def _weights(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_class(problem: Problem, kind: str | None) -> Problem:
    """The problem with another integrand; itself for None.

    Arguments:
        problem: An expectation over several binary or one-hot variables, or over subsets.
        kind: ``linear`` in each variable, with a product of two that are independent; or ``quadratic``. Both have the
            ``-log q(z)`` of the ELBO, which is linear.
    """
    if kind is None:
        return problem

    def f(z: Tensor, q: Distribution) -> Tensor:
        parts = (
            z if z.dim() == 4 else z[..., None]
        )  # (K, B, D, C), a binary variable as one category
        terms = (parts * _weights(*parts.shape[2:], seed=5)).sum(-1)  # (K, B, D)
        value = terms.sum(-1) - q.log_prob(z)
        if isinstance(q, Independent):  # of variables of a subset a product is not linear
            value = value + 2 * terms[..., 0] * terms[..., 1]
        if kind == "linear":
            return value
        flat = z.flatten(2)
        w = _weights(flat.shape[-1], flat.shape[-1], seed=6)
        return value + ((flat @ w) * flat).sum(-1)

    return problem._replace(f=f)
