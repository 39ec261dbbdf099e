r"""Point masses at the vectors of a codebook, and distributions over its codes.

A quantiser maps a vector e to the nearest of C vectors. As a posterior that is a point mass:
:math:`q(z|x) = 1` at the codes of x, and 0 at all others. Its entropy is 0, and its divergence from
a prior over codes is :math:`-\log p(z)` there.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint
from torch.distributions.kl import register_kl
from torch.types import _size

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import parameters, rebuild, select, sizes
from vae.distributions.special import one_hot

__all__ = ["Embedded", "PointMass", "Quantised", "codes_of"]


@torch.no_grad()
def codes_of(vectors: Tensor, codebook: Tensor) -> Tensor:
    """The nearest of C codebook vectors, one-hot: ``(*, d)`` and ``(C, d)`` to ``(*, C)``."""
    nearness = vectors @ codebook.T - codebook.square().sum(-1) / 2
    return one_hot(nearness.argmax(-1), nearness)


class Quantised(Distribution):
    """Creates the point mass at the codebook vectors that are nearest to some vectors.

    An event is N vectors of the codebook, ``(N, d)``. Nothing is random in it, and no gradient of
    its own reaches the vectors: what stands in for one is an estimator's
    (:mod:`vae.estimators.quantised`).

    Arguments:
        encoded: The vectors, ``(*batch, N, d)``.
        codebook: ``(C, d)``.

    Attributes:
        codes: Which of the codebook's vectors they are, one-hot ``(*batch, N, C)``.
        vectors: These vectors, ``(*batch, N, d)``.
    """

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, encoded: Tensor, codebook: Tensor) -> None:
        self.encoded, self.codebook = encoded, codebook
        self.codes = codes_of(encoded.detach(), codebook.detach())
        self.vectors = self.codes @ codebook
        super().__init__(encoded.shape[:-2], encoded.shape[-2:], validate_args=False)

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> Quantised:
        shape = Size([*batch_shape, *self.event_shape])
        return Quantised(self.encoded.expand(shape), self.codebook)

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:
        return self.vectors.expand(self._extended_shape(Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        same = (codes_of(value, self.codebook.detach()) == self.codes).flatten(-2).all(-1)
        return torch.zeros_like(same, dtype=value.dtype).masked_fill(~same, -torch.inf)


@parameters.register
def _(q: Quantised) -> dict[str, Tensor]:
    return {"encoded": q.encoded}


@rebuild.register
def _(q: Quantised, **changes: Tensor) -> Quantised:
    return Quantised(**(parameters(q) | changes), codebook=q.codebook)


@select.register
def _(q: Quantised, some: slice) -> Quantised:
    return Quantised(q.encoded[some], q.codebook)


@sizes.register
def _(q: Quantised) -> tuple[int, int]:
    return q.codes.shape[-2], q.codes.shape[-1]


class Embedded(Distribution):
    """Creates a distribution over codes, as one over the codebook's vectors.

    Arguments:
        over_codes: Over one-hot codes ``(N, C)``.
        codebook: ``(C, d)``.
    """

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, over_codes: Distribution, codebook: Tensor) -> None:
        self.over_codes, self.codebook = over_codes, codebook
        event = Size([over_codes.event_shape[0], codebook.shape[-1]])
        super().__init__(over_codes.batch_shape, event, validate_args=False)

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:
        codes: Tensor = self.over_codes.sample(Size(sample_shape))
        return codes @ self.codebook

    def log_prob(self, value: Tensor) -> Tensor:
        codes = codes_of(value, self.codebook.detach())
        return self.over_codes.log_prob(codes)  # type: ignore[no-any-return, no-untyped-call]


class PointMass(Independent):
    """Creates the point mass at some codes, as one-hot variables that are certain.

    Arguments:
        codes: One-hot, ``(*batch, N, C)``.
    """

    def __init__(self, codes: Tensor) -> None:
        self.codes = codes
        base = OneHotCategorical(logits=codes.log(), validate_args=False)
        super().__init__(base, 1, validate_args=False)


@register_kl(Quantised, Embedded)
def _kl_quantised(q: Quantised, p: Embedded) -> Tensor:
    return -p.over_codes.log_prob(q.codes)  # type: ignore[no-any-return, no-untyped-call]


@register_kl(PointMass, Distribution)
@register_kl(PointMass, Independent)
def _kl_point_mass(q: PointMass, p: Distribution) -> Tensor:
    return -p.log_prob(q.codes)  # type: ignore[no-any-return, no-untyped-call]
