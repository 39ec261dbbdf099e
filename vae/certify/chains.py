"""Chains of two layers, small enough to enumerate or to integrate over."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from vae.certify.problem import Problem, problem_of, weights
from vae.distributions.chain import Chain, Link
from vae.distributions.one_hot import OneHotCategorical

__all__ = ["binary_chain", "gaussian_chain", "one_hot_chain"]

Family = Callable[[Tensor], Distribution]
"""Raw numbers ``(*, P)`` to a layer's law with batch shape ``(*)``."""


class _Affine(nn.Module):
    """The law of the upper layer: an affine map of the lower one gives its parameters.

    Its weight ``(B, D_1, P)`` and bias ``(B, P)``, one for each replicate, are the link's values.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, family: Family, dims: int) -> None:
        super().__init__()
        self.family, self.dims = family, dims
        for name in ("weight", "bias"):
            self.register_parameter(name, nn.Parameter(torch.zeros(0, dtype=torch.float64)))

    def forward(self, z: Tensor) -> Distribution:
        flat = z.flatten(z.dim() - self.dims).to(self.weight.dtype)  # (*, B, D_1)
        return self.family(torch.einsum("...i,...ij->...j", flat, self.weight) + self.bias)


def _chain(
    first: Family, second: Family, size: int, dims: int, reverse: bool = False
) -> Callable[..., Distribution]:
    def make_q(raw: Tensor, weight: Tensor, bias: Tensor) -> Distribution:
        law = first(raw)
        values = {"weight": weight, "bias": bias}
        link = Link(_Affine(second, dims), size, law.has_rsample, values)
        return Chain(law, [link], reverse)

    return make_q


def _parameters(raw: int, entries: int, outputs: int) -> list[Tensor]:
    """Those of the first layer, and the weight and the bias of the second."""
    return [
        0.8 * weights(raw, seed=0),
        0.9 * weights(entries, outputs, seed=4),
        0.5 * weights(outputs, seed=5),
    ]


def binary_chain(first: int = 2, second: int = 2) -> Problem:
    """Two layers of binary variables: the lower one's logits, and a matrix for the upper one's."""

    def family(logits: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)

    make_q = _chain(family, family, second, dims=1)
    return problem_of(make_q, _parameters(first, first, second), first + second)


def one_hot_chain(first: int = 1, second: int = 2, num_categories: int = 3) -> Problem:
    """Two layers of one-hot variables."""
    C = num_categories

    def family(raw: Tensor) -> Distribution:
        logits = raw.unflatten(-1, (-1, C))
        base = OneHotCategorical(logits=logits, validate_args=False)
        return Independent(base, 1, validate_args=False)

    make_q = _chain(family, family, second, dims=2)
    parameters = _parameters(first * C, first * C, second * C)
    return problem_of(make_q, parameters, (first + second) * C)


def gaussian_chain(reverse: bool = False) -> Problem:
    """Two layers of one Gaussian variable each: the first one moves the second one's scale too.

    Arguments:
        reverse: Whether a value has the second one first, as that of a prior has.
    """

    def family(raw: Tensor) -> Distribution:
        loc, width = raw.chunk(2, -1)
        base = Normal(loc, (0.5 * torch.tanh(width)).exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    make_q = _chain(family, family, 1, 1, reverse)
    return problem_of(make_q, _parameters(2, 1, 2), 2)
