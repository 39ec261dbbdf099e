r"""Coupled samples by family: the noise that joins a discrete variable to its relaxation.

A discrete :math:`z` is the argmax of perturbed logits: :math:`\log \pi + g`, with :math:`g`
Gumbel noise, for one-hot variables, and the sign of :math:`l + \mathrm{logistic}` for binary
ones. A relaxation replaces the argmax by a softmax at temperature :math:`\tau` (the sign by a
sigmoid), of the *same* perturbed logits; hence ``harden(soften(s)) == harden(s)`` always.

Given its argmax, a vector of perturbed logits factorizes: the largest is Gumbel, whatever the
argmax and whatever :math:`\pi`; the others are Gumbel about :math:`\log \pi_c`, each truncated at
the largest. :func:`perturb_given` draws them in this way; :func:`condition` gives a draw that exists
already the gradient that it would have if it had been drawn in this way.

Each function is dispatched on the family; an ``Independent`` passes the call on to its base.
"""

from __future__ import annotations

import math
from functools import singledispatch

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution, Independent
from torch.nn.functional import logsigmoid

from vae.distributions.one_hot import OneHotCategorical, gumbel_like
from vae.distributions.operations import describe, logits_of
from vae.distributions.plackett_luce import PlackettLuceSubset
from vae.distributions.special import change, finite, one_hot, softmax
from vae.distributions.subsets import top

__all__ = [
    "condition",
    "differential",
    "harden",
    "middle_logits",
    "perturb",
    "perturb_given",
    "soft_differential",
    "soften",
    "with_margin",
]


@singledispatch
def perturb(q: Distribution, sample_shape: Size) -> Tensor:
    """Draws perturbed logits, through which gradients pass to the logits of ``q``.

    Their shape is ``sample_shape + batch_shape + event_shape``.

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
    return finite(q.logits) + gumbel_like(q.logits, q._extended_shape(sample_shape))


@perturb.register
def _(q: PlackettLuceSubset, sample_shape: Size) -> Tensor:
    return q.logits + gumbel_like(q.logits, q._extended_shape(sample_shape))


@perturb.register
def _(q: Bernoulli, sample_shape: Size) -> Tensor:
    # a logistic variable is the difference of two Gumbel variables
    shape = q._extended_shape(sample_shape)
    return finite(q.logits) + gumbel_like(q.logits, shape) - gumbel_like(q.logits, shape)


@singledispatch
def soften(q: Distribution, perturbed: Tensor, temperature: Tensor | float) -> Tensor:
    """The relaxed sample of ``q`` that belongs to these perturbed logits."""
    raise NotImplementedError(f"{describe(q)} has no relaxation")


@soften.register
def _(q: Independent, perturbed: Tensor, temperature: Tensor | float) -> Tensor:
    return soften(q.base_dist, perturbed, temperature)


@soften.register
def _(q: OneHotCategorical, perturbed: Tensor, temperature: Tensor | float) -> Tensor:
    return softmax(perturbed / temperature)


@soften.register
def _(q: PlackettLuceSubset, perturbed: Tensor, temperature: Tensor | float) -> Tensor:
    # k softmaxes, each of what the one before it leaves
    chosen = softmax(perturbed / temperature)
    total = chosen
    most = 1 - torch.finfo(perturbed.dtype).eps
    for _ in range(q.k - 1):
        perturbed = perturbed + torch.log1p(-chosen.clamp_max(most))
        chosen = softmax(perturbed / temperature)
        total = total + chosen
    return total


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
    return one_hot(index, perturbed)


@harden.register
def _(q: PlackettLuceSubset, perturbed: Tensor) -> Tensor:
    return top(perturbed, q.k)


@harden.register
def _(q: Bernoulli, perturbed: Tensor) -> Tensor:
    return (perturbed > 0).to(perturbed.dtype)


def _log1p_exp(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))  # softplus is linear above its threshold


@singledispatch
def perturb_given(q: Distribution, z: Tensor, sample_shape: Size = Size()) -> Tensor:
    """Draws perturbed logits given that they harden to ``z``.

    Their shape is ``sample_shape + z.shape``. The truncated distribution functions are inverted, so
    that gradients pass to the logits of ``q``.

    References:
        | A* Sampling (Maddison, Tarlow & Minka, 2014), the top-down construction
        | (https://arxiv.org/abs/1411.0030).
        | REBAR (Tucker et al., 2017), the appendix on conditional reparameterizations
        | (https://arxiv.org/abs/1703.07370).
    """
    raise NotImplementedError(f"{describe(q)} has no relaxation")


@perturb_given.register
def _(q: Independent, z: Tensor, sample_shape: Size = Size()) -> Tensor:
    return perturb_given(q.base_dist, z, sample_shape)


@perturb_given.register
def _(q: OneHotCategorical, z: Tensor, sample_shape: Size = Size()) -> Tensor:
    noise = gumbel_like(q.logits, Size([*sample_shape, *z.shape]))
    # the logits are normalized, so that the largest is Gumbel about zero
    largest = (noise * z).sum(-1, keepdim=True)
    other = finite(q.logits) + noise
    # -log(e^-other + e^-largest), as a distance below the largest: never negative, and kept from
    # rounding to zero, where the argmax would be a matter of order
    below = _log1p_exp(largest - other)
    below = torch.maximum(below, torch.finfo(below.dtype).eps * (1 + largest.abs()))
    return torch.where(z > 0.5, largest, largest - below)


@perturb_given.register
def _(q: Bernoulli, z: Tensor, sample_shape: Size = Size()) -> Tensor:
    # as two categories: the chosen one is `distance` above the other
    shape = Size([*sample_shape, *z.shape])
    noise = gumbel_like(q.logits, shape) - gumbel_like(q.logits, shape)
    sign = 2 * z - 1
    distance = _log1p_exp(noise + _log1p_exp(sign * finite(q.logits)))
    return sign * distance.clamp_min(torch.finfo(distance.dtype).tiny)


@singledispatch
def condition(q: Distribution, perturbed: Tensor) -> Tensor:
    """The perturbed logits, with the gradient that a draw of :func:`perturb_given` would have.

    Perturbed logits are a draw from their law given what they harden to, so that one draw can
    serve as both, with common random numbers: the value is the same, the gradient another.

    References:
        | REBAR (Tucker et al., 2017), where u and v are coupled
        | (https://arxiv.org/abs/1703.07370).

    Arguments:
        q: The distribution.
        perturbed: A draw of :func:`perturb`, without gradient.
    """
    raise NotImplementedError(f"{describe(q)} has no relaxation")


@condition.register
def _(q: Independent, perturbed: Tensor) -> Tensor:
    return condition(q.base_dist, perturbed)


@condition.register
def _(q: OneHotCategorical, perturbed: Tensor) -> Tensor:
    # The largest owes nothing to the logits. Of another, x below it, the derivative at fixed noise
    # is sigmoid(largest - other) = 1 - e^-x in the notation of perturb_given.
    slope = -torch.expm1(perturbed - perturbed.amax(-1, keepdim=True))
    return perturbed + slope * differential(q)


@condition.register
def _(q: Bernoulli, perturbed: Tensor) -> Tensor:
    sign = 2 * harden(q, perturbed) - 1
    slope = -torch.expm1(-perturbed.abs()) * (sign * q.logits.detach()).sigmoid()
    return perturbed + slope * differential(q)


def differential(q: Distribution) -> Tensor:
    """Zero, with the gradient of the logits of ``q``; finite also where a logit is not."""
    return change(logits_of(q))


@singledispatch
def soft_differential(q: Distribution, soft: Tensor) -> Tensor:
    """Zero, with the gradient to the logits of a softmax (a sigmoid) whose value is ``soft``.

    It is what a straight-through sampler adds to a vertex.
    """
    raise NotImplementedError(f"{describe(q)} has no relaxation")


@soft_differential.register
def _(q: Independent, soft: Tensor) -> Tensor:
    return soft_differential(q.base_dist, soft)


@soft_differential.register
def _(q: OneHotCategorical, soft: Tensor) -> Tensor:
    soft, change = soft.detach(), differential(q)
    return soft * (change - (soft * change).sum(-1, keepdim=True))


@soft_differential.register
def _(q: Bernoulli, soft: Tensor) -> Tensor:
    soft = soft.detach()
    return soft * (1 - soft) * differential(q)


@singledispatch
def with_margin(q: Distribution, z: Tensor, gap: float) -> Tensor:
    """The logits of ``q``, moved until ``z`` is on top, at least ``gap`` above the others.

    They are moved no further than that takes, and carry no gradient.
    """
    raise NotImplementedError(f"{describe(q)} has no relaxation")


@with_margin.register
def _(q: Independent, z: Tensor, gap: float) -> Tensor:
    return with_margin(q.base_dist, z, gap)


@with_margin.register
def _(q: OneHotCategorical, z: Tensor, gap: float) -> Tensor:
    logits = q.logits.detach()
    top = logits.amax(-1, keepdim=True)
    return torch.where(z > 0.5, top, torch.minimum(logits, top - gap))


@with_margin.register
def _(q: Bernoulli, z: Tensor, gap: float) -> Tensor:
    logits = q.logits.detach()  # over a second category, of logit zero
    return torch.where(z > 0.5, logits.clamp_min(gap), logits.clamp_max(-gap))


@singledispatch
def middle_logits(q: Distribution, z: Tensor) -> Tensor:
    """The logits whose probabilities lie in the middle of a vertex and those of ``q``.

    They carry no gradient."""
    raise NotImplementedError(f"{describe(q)} has no relaxation")


@middle_logits.register
def _(q: Independent, z: Tensor) -> Tensor:
    return middle_logits(q.base_dist, z)


@middle_logits.register
def _(q: OneHotCategorical, z: Tensor) -> Tensor:
    logits = q.logits.detach()  # normalized
    return torch.where(z > 0.5, logits.exp().log1p(), logits)


@middle_logits.register
def _(q: Bernoulli, z: Tensor) -> Tensor:
    sign = 2 * z - 1
    other = -sign * finite(q.logits.detach())  # the logit of the value that z is not
    return sign * ((-other.sigmoid() / 2).log1p() - logsigmoid(other) + math.log(2))
