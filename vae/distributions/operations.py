"""What estimators ask of any distribution, dispatched on its type.

Families are told apart as :func:`torch.distributions.kl.register_kl` does it for pairs; an
``Independent`` passes each question on to its base. A family of one's own works as it is if its
constructor takes the arguments that ``arg_constraints`` names; else it registers its own
:func:`parameters` and :func:`rebuild`.
"""

from __future__ import annotations

import inspect
from functools import cache, singledispatch
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import (
    Distribution,
    Independent,
)

__all__ = [
    "base_of",
    "configurations",
    "describe",
    "detach",
    "differentiable",
    "joint_support",
    "logits_of",
    "parameters",
    "rebuild",
    "select",
    "sizes",
    "support",
    "with_logits",
]


MAX_SUPPORT = 2**20
"""The most joint configurations that :func:`support` lists."""


_ALTERNATIVES = (
    ("logits", "probs"),
    ("scale_tril", "covariance_matrix", "precision_matrix"),
)


@singledispatch
def describe(q: Distribution) -> str:
    """The family's name for messages: ``Independent(OneHotCategorical, 1)`` prints as such."""
    return type(q).__name__


@describe.register
def _(q: Independent) -> str:
    return f"Independent({describe(q.base_dist)}, {q.reinterpreted_batch_ndims})"


def base_of(q: Distribution) -> Distribution:
    """The family itself: what an ``Independent`` wraps."""
    return base_of(q.base_dist) if isinstance(q, Independent) else q


@singledispatch
def parameters(q: Distribution) -> dict[str, Tensor]:
    """The tensors that define ``q``, by name.

    Of several parametrizations it is the one whose names come first: ``logits``, not ``probs``.
    """
    redundant = {
        name for names in _ALTERNATIVES for name in names[1:] if names[0] in q.arg_constraints
    }
    return {name: getattr(q, name) for name in q.arg_constraints if name not in redundant}


@parameters.register
def _(q: Independent) -> dict[str, Tensor]:
    return parameters(q.base_dist)


@singledispatch
def rebuild(q: Distribution, **changes: Tensor) -> Distribution:
    """A distribution of the family of ``q`` with some parameters replaced, not validated again."""
    options: dict[str, Any] = {**parameters(q), **changes, "validate_args": False}
    return type(q)(**options)


@rebuild.register
def _(q: Independent, **changes: Tensor) -> Distribution:
    return Independent(
        rebuild(q.base_dist, **changes), q.reinterpreted_batch_ndims, validate_args=False
    )


@singledispatch
def detach(q: Distribution) -> Distribution:
    """The same distribution, with no gradient to its parameters (pytorch #25783 asks for it).

    A family with weights that all images share, as a flow, stops these too, though they are none of
    its :func:`parameters`.
    """
    return rebuild(q, **{name: value.detach() for name, value in parameters(q).items()})


def logits_of(q: Distribution) -> Tensor:
    """The logits of a discrete ``q``.

    Their shape is ``batch_shape + (D,)`` of D Bernoulli variables, ``batch_shape + (D, C)`` of
    one-hot ones.

    Raises:
        NotImplementedError: If the family has none.
    """
    found = parameters(q)
    if "logits" not in found:
        raise NotImplementedError(f"{describe(q)} has no logits")
    return found["logits"]


def with_logits(q: Distribution, logits: Tensor) -> Distribution:
    """The family of ``q`` at other logits."""
    return rebuild(q, logits=logits)


@singledispatch
def select(q: Distribution, some: slice) -> Distribution:
    """Some of a batch of distributions: ``q`` at a slice of its first batch dimension.

    Raises:
        NotImplementedError: If its parameters do not say all of each distribution.
    """
    values = parameters(q) if _is_its_parameters(type(q)) else {}
    whole = [value.shape[: len(q.batch_shape)] == q.batch_shape for value in values.values()]
    if not values or not all(whole):
        raise NotImplementedError(f"{describe(q)} is not known by its parameters")
    return rebuild(q, **{name: value[some] for name, value in values.items()})


@select.register
def _(q: Independent, some: slice) -> Distribution:
    return Independent(select(q.base_dist, some), q.reinterpreted_batch_ndims, validate_args=False)


def _is_its_parameters(family: Any) -> bool:
    """Whether the constructor takes what ``arg_constraints`` names, and nothing else."""
    named, taken = family.arg_constraints, _arguments(family)
    return isinstance(named, dict) and "validate_args" in taken <= named.keys() | {"validate_args"}


@cache
def _arguments(family: Any) -> frozenset[str]:
    return frozenset(inspect.signature(family).parameters)


@singledispatch
def configurations(q: Distribution) -> int:
    """The number of values of a discrete ``q``: C^D of D independent variables.

    Raises:
        NotImplementedError: If ``q`` cannot be enumerated.
    """
    _assert_finite(q, q)
    return q.enumerate_support(expand=False).shape[0]


@configurations.register
def _(q: Independent) -> int:
    _assert_finite(q.base_dist, q)
    events = q.base_dist.batch_shape[len(q.batch_shape) :]
    return int(configurations(q.base_dist) ** events.numel())


@singledispatch
def support(q: Distribution, first: int = 0, last: int | None = None) -> Tensor:
    """The values of a discrete ``q``, with shape ``(S, *batch_shape, *event_shape)``.

    Unlike ``enumerate_support``, it lists the *joint* configurations of independent variables:
    2^D or K^L of them.

    Arguments:
        q: The distribution.
        first: The number of the first value to list.
        last: The number after that of the last one; by default all are listed.

    Raises:
        NotImplementedError: If ``q`` cannot be enumerated.
        ValueError: If there are more than ``MAX_SUPPORT`` configurations to list.
    """
    _assert_finite(q, q)
    return q.enumerate_support()[first:last]


@support.register
def _(q: Independent, first: int = 0, last: int | None = None) -> Tensor:
    _assert_finite(q.base_dist, q)
    events = q.base_dist.batch_shape[len(q.batch_shape) :]
    values = q.base_dist.enumerate_support(expand=False)  # (C, 1.., *event)
    values = values.reshape(-1, *q.base_dist.event_shape)
    return joint_support(q, values, events, first, last)


def joint_support(
    q: Distribution, values: Tensor, shape: Size, first: int, last: int | None
) -> Tensor:
    """The configurations of independent variables, as :func:`support` gives those of ``q``.

    Arguments:
        q: Their joint distribution.
        values: Those of one variable, ``(C, *variable)``.
        shape: How many variables there are, ``(D,)`` as a rule.
        first: The number of the first configuration.
        last: The number after that of the last one; None for all.
    """
    C, D = len(values), shape.numel()
    last = C**D if last is None else min(last, C**D)
    if last - first > MAX_SUPPORT:
        raise ValueError(
            f"{describe(q)} has {C}^{D} configurations, more than the {MAX_SUPPORT} that can be enumerated"
        )
    number = torch.arange(first, last, device=values.device)
    digits = [number // C ** (D - 1 - d) % C for d in range(D)]
    joint = values[torch.stack(digits, -1)]
    joint = joint.reshape(-1, *[1] * len(q.batch_shape), *q.event_shape)
    return joint.expand(-1, *q.batch_shape, *q.event_shape)


@singledispatch
def differentiable(q: Distribution) -> bool:
    """Whether ``log_prob`` of ``q`` has a derivative in z, off the support of a discrete one too."""
    return True


@differentiable.register
def _(q: Independent) -> bool:
    return differentiable(q.base_dist)


@singledispatch
def sizes(q: Distribution) -> tuple[int, int]:
    """The number of variables, and of the categories of each (2 if it has none): (D, C)."""
    shape = q.event_shape
    return (shape[0], shape[1]) if len(shape) == 2 else (shape[0], 2)


def _assert_finite(base: Distribution, q: Distribution) -> None:
    if not base.has_enumerate_support:
        raise NotImplementedError(f"{describe(q)} has no finite support to enumerate")
