r"""Coupled samples by family: the noise that joins a discrete variable to its relaxation.

A discrete :math:`z` is the argmax of perturbed logits: :math:`\log \pi + g`, with :math:`g`
Gumbel noise, for one-hot variables, and the sign of :math:`l + \mathrm{logistic}` for binary
ones. A relaxation replaces the argmax by a softmax at temperature :math:`\tau` (the sign by a
sigmoid), of the *same* perturbed logits; hence ``harden(soften(s)) == harden(s)`` always.

Each function is dispatched on the family; ``Independent`` passes through to its base.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution, Independent

from vae.distributions import OneHotCategorical, describe, gumbel_like

__all__ = ["harden", "perturb", "soften"]


@singledispatch
def perturb(q: Distribution, sample_shape: Size) -> Tensor:
    """Draws perturbed logits, with shape ``sample_shape + batch_shape + event_shape``; gradients
    pass to the logits.

    Raises:
        NotImplementedError: If the family has no such noise.
    """
    raise NotImplementedError(
        f"{describe(q)} has no relaxation: it takes independent OneHotCategorical or Bernoulli variables"
    )


@perturb.register
def _(q: Independent, sample_shape: Size) -> Tensor:
    return perturb(q.base_dist, sample_shape)


@perturb.register
def _(q: OneHotCategorical, sample_shape: Size) -> Tensor:
    return q.logits + gumbel_like(q.logits, q._extended_shape(sample_shape))


@perturb.register
def _(q: Bernoulli, sample_shape: Size) -> Tensor:
    # a logistic variable is the difference of two Gumbel variables
    shape = q._extended_shape(sample_shape)
    return q.logits + gumbel_like(q.logits, shape) - gumbel_like(q.logits, shape)


@singledispatch
def soften(q: Distribution, perturbed: Tensor, temperature: Tensor | float) -> Tensor:
    """The relaxed sample of ``q`` that belongs to these perturbed logits, in the interior of the
    support."""
    raise NotImplementedError(f"{describe(q)} has no relaxation")


@soften.register
def _(q: Independent, perturbed: Tensor, temperature: Tensor | float) -> Tensor:
    return soften(q.base_dist, perturbed, temperature)


@soften.register
def _(q: OneHotCategorical, perturbed: Tensor, temperature: Tensor | float) -> Tensor:
    return (perturbed / temperature).softmax(-1)


@soften.register
def _(q: Bernoulli, perturbed: Tensor, temperature: Tensor | float) -> Tensor:
    return (perturbed / temperature).sigmoid()


@singledispatch
def harden(q: Distribution, perturbed: Tensor) -> Tensor:
    """The discrete sample of ``q`` that belongs to these perturbed logits."""
    raise NotImplementedError(f"{describe(q)} has no relaxation")


@harden.register
def _(q: Independent, perturbed: Tensor) -> Tensor:
    return harden(q.base_dist, perturbed)


@harden.register
def _(q: OneHotCategorical, perturbed: Tensor) -> Tensor:
    index = perturbed.argmax(-1)
    return torch.nn.functional.one_hot(index, perturbed.shape[-1]).to(perturbed.dtype)


@harden.register
def _(q: Bernoulli, perturbed: Tensor) -> Tensor:
    return (perturbed > 0).to(perturbed.dtype)
