r"""Subsets of k of n items, as vectors of n zeros and ones: what every family of them shares.

There are :math:`\binom nk` of them. They are numbered in the order in which the sets of their items
come in a dictionary, so that any block of them can be listed without the others: item i, of which m
are left to choose, begins the next :math:`\binom{n - 1 - i}{m - 1}` sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Size, Tensor
from torch._subclasses import FakeTensor
from torch.distributions import Distribution, constraints
from torch.types import _size

from vae.distributions.kinds import kind
from vae.distributions.operations import (
    MAX_SUPPORT,
    configurations,
    describe,
    parameters,
    rebuild,
    select,
    sizes,
    support,
)
from vae.distributions.special import finite

__all__ = ["KHot", "Subset", "listed", "tables", "top"]


class KHot(constraints.Constraint):
    """Vectors of zeros and ones with exactly k ones.

    Arguments:
        k: The number of ones.
    """

    is_discrete = True
    event_dim = 1

    def __init__(self, k: int) -> None:
        self.k = k

    def check(self, value: Tensor) -> Tensor:
        binary = ((value == 0) | (value == 1)).all(-1)
        return binary & (value.sum(-1) == self.k)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KHot) and other.k == self.k

    def __hash__(self) -> int:
        return hash((KHot, self.k))

    def __repr__(self) -> str:
        return f"KHot({self.k})"


@kind.register
def _(support: KHot) -> str:
    return "k-subset"


def top(scores: Tensor, k: int) -> Tensor:
    """The k largest of the scores ``(*, n)`` as a vector of zeros and ones; no gradient passes."""
    return torch.zeros_like(scores).scatter(-1, scores.topk(k, -1).indices, 1.0).detach()


def listed(n: int, k: int, like: Tensor, first: int = 0, last: int | None = None) -> Tensor:
    """Subsets by their numbers, ``(last - first, n)``.

    Arguments:
        n: The number of items.
        k: How many are in each subset.
        like: Of the dtype and on the device that the vectors shall have.
        first: The number of the first one.
        last: The number after that of the last one; by default that of all.
    """
    last = math.comb(n, k) if last is None else min(last, math.comb(n, k))
    number = torch.arange(first, last, device=like.device)
    left, items = torch.full_like(number, k), []
    for begun in tables(_begun, n, k, device=like.device)[0]:
        count = begun[left]
        taken = (number < count) & (left > 0)
        number, left = torch.where(taken, number, number - count), left - taken.long()
        items.append(taken)
    return torch.stack(items, -1).to(like.dtype)


def _begun(n: int, k: int) -> list[list[list[int]]]:
    """How many sets each item begins, ``(n, k + 1)``, where 0, ..., k are left to choose."""
    return [
        [
            [0, *(min(math.comb(n - 1 - i, m - 1), 2**62) for m in range(1, k + 1))]
            for i in range(n)
        ]
    ]


_KEPT: dict[Any, list[Tensor]] = {}


def tables(make: Callable[..., list[Any]], *sizes: int, device: torch.device) -> list[Tensor]:
    """Tensors of the integers that ``make`` lists for some sizes, copied to a device once.

    A graph on a GPU can copy nothing from the CPU. What belongs to a trace, or to inference alone,
    is made anew.
    """
    key = (make, sizes, device)
    if torch.compiler.is_compiling():
        return [torch.tensor(values, device=device) for values in make(*sizes)]
    if key not in _KEPT:
        with torch.inference_mode(False):
            found = [torch.tensor(values, device=device) for values in make(*sizes)]
        if any(isinstance(table, FakeTensor) for table in found):
            return found
        _KEPT[key] = found
    return _KEPT[key]


class Subset(Distribution):
    """A distribution of subsets of k of n items, by a logit of each item.

    Arguments:
        k: How many items are in each subset, from 1 to n.
        logits: With shape ``(*, n)``; what all have in common changes nothing. An item whose logit
            is ``-inf`` is in no subset.

    Raises:
        ValueError: If k is not between 1 and n.
    """

    arg_constraints = {"logits": constraints.independent(constraints.real, 1)}
    has_enumerate_support = True

    def __init__(self, k: int, logits: Tensor, validate_args: bool | None = None) -> None:
        if not 1 <= k <= logits.shape[-1]:
            raise ValueError(f"k must be from 1 to {logits.shape[-1]}, the items, got {k}")
        self.k = k
        logits = finite(logits)
        self.logits = logits - logits.amax(-1, keepdim=True).detach()
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    @property
    def n(self) -> int:
        """The number of items."""
        return int(self.event_shape[0])

    @property
    def support(self) -> KHot:
        return KHot(self.k)

    @property
    def mode(self) -> Tensor:
        """The subset of the k largest logits: the most probable one."""
        return top(self.logits, self.k)

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> Subset:
        return type(self)(self.k, self.logits.expand(*batch_shape, -1), validate_args=False)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return support(self) if expand else _some(self, 0, None)

    def _uniform(self, sample_shape: Size) -> Tensor:
        """Uniform numbers ``sample_shape + batch_shape``, above 0, in float32 or wider."""
        shape = self._extended_shape(sample_shape)[:-1]
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        return uniform.clamp_min(torch.finfo(uniform.dtype).eps / 4)


def _some(q: Subset, first: int, last: int | None) -> Tensor:
    """Some values of q, with batch dimensions of size 1."""
    size = math.comb(q.n, q.k)
    last = size if last is None else min(last, size)
    if last - first > MAX_SUPPORT:
        raise ValueError(
            f"{describe(q)} has {size:,} subsets of {q.k} of {q.n} items, more than the"
            f" {MAX_SUPPORT:,} that can be listed"
        )
    values = listed(q.n, q.k, q.logits, first, last)
    return values.reshape(-1, *[1] * len(q.batch_shape), q.n)


@support.register
def _(q: Subset, first: int = 0, last: int | None = None) -> Tensor:
    return _some(q, first, last).expand(-1, *q.batch_shape, q.n)


@configurations.register
def _(q: Subset) -> int:
    return math.comb(q.n, q.k)


@sizes.register
def _(q: Subset) -> tuple[int, int]:
    return 1, math.comb(q.n, q.k)  # one variable: no entry can change alone


@rebuild.register
def _(q: Subset, **changes: Tensor) -> Distribution:
    values: dict[str, Any] = {**parameters(q), **changes}
    return type(q)(q.k, values["logits"], validate_args=False)


@select.register
def _(q: Subset, some: slice) -> Distribution:
    return rebuild(q, logits=q.logits[some])
