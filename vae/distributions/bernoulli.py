r"""The Bernoulli distribution at every logit, infinite ones included.

torch's is the same law, but the derivative of its mean is p (1 - p) with 1 - p = 0 from a logit of
17 on, and its divergence takes such a p for an impossible value: infinite, though its logit is a
parameter like any other. Here the rarer value is what is computed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions.kl import register_kl
from torch.distributions.utils import lazy_property
from torch.nn.functional import softplus

from vae.distributions.special import sigmoid, softplus_tail

__all__ = ["Bernoulli", "bernoulli_log_prob"]


def bernoulli_log_prob(logits: Tensor, value: Tensor) -> Tensor:
    """``value * logits - softplus(logits)``, linear in the value.

    An infinite logit is taken as the largest number, and left out where the value is certain.
    """
    limits = torch.finfo(logits.dtype)
    logits = logits.clamp(limits.min, limits.max)
    missed = value - (logits > 0).to(logits.dtype)
    certain = (logits.abs() > limits.max**0.75) & (missed == 0)
    return _where(~certain, missed) * logits - softplus_tail(logits)


class Bernoulli(TorchBernoulli):
    """Creates a Bernoulli distribution. Arguments as for torch's."""

    @lazy_property
    def probs(self) -> Tensor:
        return sigmoid(self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return bernoulli_log_prob(self.logits, value)

    def entropy(self) -> Tensor:
        # of the rarer value's logit, -|l|: -p l + softplus(l)
        rare = torch.where(self.logits > 0, -self.logits, self.logits)
        return softplus(rare) - rare.sigmoid() * _where(rare > -torch.inf, rare)


@register_kl(TorchBernoulli, TorchBernoulli)
def _kl_bernoulli(p: TorchBernoulli, q: TorchBernoulli) -> Tensor:
    of_p, of_q = torch.broadcast_tensors(_logits(p), _logits(q))
    # Bregman's form, of the value that is the rarer under p
    swap = of_p > 0
    a, b = torch.where(swap, -of_p, of_p), torch.where(swap, -of_q, of_q)
    rare = a.sigmoid()
    # where the value common under p is impossible under q, infinity less infinity
    impossible = b == torch.inf
    missed, b = _where(impossible, b), _where(~impossible, b)
    finite = softplus(b) - softplus(a) - rare * _where(rare > 0, b - a)
    return finite + (1 - _where(rare > 0, rare)) * missed


def _where(condition: Tensor, x: Tensor) -> Tensor:
    """x, or 0 where the condition does not hold."""
    return torch.where(condition, x, torch.zeros_like(x))


def _logits(d: TorchBernoulli) -> Tensor:
    """The logits; infinite where a probability of 0 or 1 was given, which torch clamps."""
    given = "probs" in d.arg_constraints and getattr(d, "_param", None) is d.__dict__.get("probs")
    return d.probs.logit() if given else d.logits
