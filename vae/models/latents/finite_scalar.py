"""Codes of a fixed grid: finite scalar quantisation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vae.distributions.quantised import Quantised
from vae.models.latents.quantised import QuantisedLatent

__all__ = ["FiniteScalarQuantized"]


EDGE = 1e-3
"""How far beyond the outermost levels a bounded number may go, in parts of their distance."""


class FiniteScalarQuantized(QuantisedLatent):
    r"""Creates N codes, each a few numbers that are bounded and rounded to a few levels.

    The features become N vectors of as many numbers as there are ``levels``; number j is bounded by
    a tanh and rounded to one of :math:`L_j` levels between -1 and 1. The codebook is the grid of all
    :math:`C = \prod_j L_j` vectors: it is not learned, no code can die, and there is no loss beside
    the bound.

    Its estimator is ``straight_through_codes``, as the authors'. ``rotation_trick`` is refused: it has
    no gradient at a code of norm 0, which the grid has. q(z|x) is a point mass: see
    :class:`vae.models.latents.quantised.QuantisedLatent`.

    References:
        | Finite Scalar Quantization: VQ-VAE Made Simple (Mentzer et al., 2023), section 3
        | (https://arxiv.org/abs/2309.15505).

    Arguments:
        in_features: The width H of the features.
        num_variables: N.
        levels: The levels of each number of a code, at least 3; (8, 8) is a codebook of 64.
        learned_prior: Whether the probabilities of the codes, independent ones, are trained.
        decay: The weight of the past in the moving average of how often a code is used, which is
            logged as ``perplexity``, and of what ``standardise`` needs.
        standardise: Whether the numbers are brought to mean 0 and spread 1 before they are bounded.

    Raises:
        ValueError: If a number is out of its range.
    """

    grid: Tensor
    levels: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        levels: Sequence[int] = (8, 8),
        learned_prior: bool = False,
        decay: float = 0.99,
        standardise: bool = True,
    ) -> None:
        if not levels or min(levels) < 3:
            raise ValueError(f"levels must be at least 3 of each number, got {list(levels)}")
        C = math.prod(levels)
        super().__init__(
            in_features, num_variables, C, len(levels), learned_prior, decay, standardise
        )
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        axes = [(torch.arange(L) - L // 2) / (L // 2) for L in levels]
        grid = torch.cartesian_prod(*axes).reshape(C, len(levels))
        self.register_buffer("grid", grid, persistent=False)

    @property
    def codebook(self) -> Tensor:
        return self.grid

    def bounded(self, raw: Tensor) -> Tensor:
        """Numbers ``(*, d)`` between the outermost levels.

        0 stays at the level in the middle or, of an even number of levels, half-way between two.
        """
        half = (self.levels - 1) * (1 + EDGE) / 2
        offset = 0.5 * (self.levels % 2 == 0)
        shift = (offset / half).atanh()
        return ((raw + shift).tanh() * half - offset) / (self.levels // 2)

    def quantise(self, features: Tensor, train: bool) -> Quantised:
        return Quantised(self.bounded(self.encode(features, train)), self.grid)
