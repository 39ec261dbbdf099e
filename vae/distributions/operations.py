r"""Distributions over latent variables, and what estimators ask of any distribution.

Everything here is a real :class:`torch.distributions.Distribution`: shapes are ``sample_shape +
batch_shape + event_shape``, densities are in nats. Two families replace torch's because a
gradient has to pass where torch's does not let it:

* :class:`OneHotCategorical`: :math:`\log q(z) = \langle z, \log \pi \rangle` is linear in
  :math:`z`, so it is defined (and differentiable) off the vertices of the simplex, where
  relaxations and straight-through estimators evaluate it. torch takes an argmax, whose gradient
  in :math:`z` is zero.
* :class:`ExpRelaxedOneHotCategorical`: the Concrete distribution in log space. On the simplex its
  density over- and underflows at low temperature; the logarithm of a sample never does.
  :class:`RelaxedOneHotCategorical` is its image on the simplex.

Others are torch's with formulae that hold in single precision at every parameter:
:mod:`vae.distributions.bernoulli`, :mod:`vae.distributions.continuous_bernoulli`, :mod:`vae.distributions.normal`, :mod:`vae.distributions.gamma` and
:mod:`vae.distributions.von_mises`.

The functions below are dispatched on the type of distribution, as
:func:`torch.distributions.kl.register_kl` does for pairs: :func:`parameters`, :func:`rebuild`,
:func:`detach`, :func:`logits_of`, :func:`with_logits`, :func:`support`.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
)

__all__ = [
    "base_of",
    "describe",
    "detach",
    "logits_of",
    "parameters",
    "rebuild",
    "support",
    "with_logits",
]


MAX_SUPPORT = 2**20
"""Largest number of joint configurations that :func:`support` is willing to list."""


# What estimators ask of a distribution
# ----------------------------------------------------------------------------------------

_ALTERNATIVES = (
    ("logits", "probs"),
    ("scale_tril", "covariance_matrix", "precision_matrix"),
)


def describe(q: Distribution) -> str:
    """The family's name for messages: ``Independent(OneHotCategorical, 1)`` prints as such."""
    if isinstance(q, Independent):
        return f"Independent({describe(q.base_dist)}, {q.reinterpreted_batch_ndims})"
    return type(q).__name__


def base_of(q: Distribution) -> Distribution:
    """The family itself: what an ``Independent`` wraps."""
    return base_of(q.base_dist) if isinstance(q, Independent) else q


@singledispatch
def parameters(q: Distribution) -> dict[str, Tensor]:
    """The tensors that define ``q``, one name for each of the alternatives (``logits`` rather
    than ``probs``)."""
    redundant = {
        name for names in _ALTERNATIVES for name in names[1:] if names[0] in q.arg_constraints
    }
    return {name: getattr(q, name) for name in q.arg_constraints if name not in redundant}


@parameters.register
def _(q: Independent) -> dict[str, Tensor]:
    return parameters(q.base_dist)


@singledispatch
def rebuild(q: Distribution, **changes: Tensor) -> Distribution:
    """A distribution of the family of ``q`` with some parameters replaced. Arguments are not
    validated again."""
    options: dict[str, Any] = {**parameters(q), **changes, "validate_args": False}
    return type(q)(**options)


@rebuild.register
def _(q: Independent, **changes: Tensor) -> Distribution:
    return Independent(
        rebuild(q.base_dist, **changes), q.reinterpreted_batch_ndims, validate_args=False
    )


def detach(q: Distribution) -> Distribution:
    """The same distribution, with no gradient to its parameters (pytorch #25783 asks for it)."""
    return rebuild(q, **{name: value.detach() for name, value in parameters(q).items()})


def logits_of(q: Distribution) -> Tensor:
    """The logits of a discrete ``q``, with shape ``batch_shape + (D,)`` (Bernoulli) or ``(D, K)``
    (one-hot).

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
def support(q: Distribution) -> Tensor:
    """All values of a discrete ``q``, with shape ``(S, *batch_shape, *event_shape)``.

    Unlike ``enumerate_support``, it lists the *joint* configurations of independent variables:
    2^D or K^L of them.

    Raises:
        NotImplementedError: If ``q`` cannot be enumerated.
        ValueError: If there are more than ``MAX_SUPPORT`` configurations.
    """
    if not q.has_enumerate_support:
        raise NotImplementedError(f"{describe(q)} has no finite support to enumerate")
    return q.enumerate_support()


@support.register
def _(q: Independent) -> Tensor:
    n = q.reinterpreted_batch_ndims
    base = q.base_dist
    if not base.has_enumerate_support:
        raise NotImplementedError(f"{describe(q)} has no finite support to enumerate")
    values = base.enumerate_support(expand=False)  # (C, 1.., *event)
    events = base.batch_shape[len(base.batch_shape) - n :]
    C, D = values.shape[0], events.numel()
    if D * math.log(C) > math.log(MAX_SUPPORT):
        raise ValueError(
            f"{describe(q)} has {C}^{D} configurations, more than the {MAX_SUPPORT} that can be enumerated"
        )
    values = values.reshape(C, *base.event_shape)
    index = torch.cartesian_prod(*[torch.arange(C, device=values.device)] * D).view(-1, D)
    joint = values[index].reshape(-1, *[1] * len(q.batch_shape), *events, *base.event_shape)
    return joint.expand(-1, *q.batch_shape, *events, *base.event_shape)
