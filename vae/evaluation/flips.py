r"""Metropolis flips of discrete latents: one decoding each, most of them where q is unsure.

A flip picks a variable i and another value of it, and keeps the change with the probability of
Metropolis and Hastings,

.. math:: \min\Big(1, \frac{f(z')\, r(z_i | z'_i)}{f(z)\, r(z'_i | z_i)}\Big).

Variable and value are drawn in part evenly, and in part from the marginals of
:math:`s(z)^{1 - \beta} q(z|x)^\beta`, with s the start of the chains: an independent product that
resembles the density at :math:`\beta`. Where q is far from the posterior, the even part moves on.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.one_hot import OneHotCategorical
from vae.evaluation.transitions import Density, Transition

__all__ = ["PROPOSALS", "BinaryFlips", "Flips", "Metropolis", "OneHotFlips"]


SAMPLES = 200
"""Of a family that does not say its mean."""

PROPOSALS = 8
"""Of one step: enough that a temperature's own work, a fifth of a decoding, does not count."""


class Metropolis(Transition):
    """Creates a transition that proposes a change of one variable, and keeps or refuses it.

    References:
        | Monte Carlo sampling methods using Markov chains and their applications (Hastings, 1970)
        | (https://doi.org/10.1093/biomet/57.1.97).

    Arguments:
        proposals: Of each step, one after the other.
    """

    adapts = False

    def __init__(self, proposals: int = PROPOSALS) -> None:
        self.proposals = proposals

    @abstractmethod
    def propose(self, z: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """A change z' of z, and the proposal's log r(z | z') - log r(z' | z), ``(chains, B)``.

        Where it would lead out of the support, z' is z and the ratio ``-inf``.
        """

    def step(self, z: Tensor, log_density: Density, width: Tensor) -> tuple[Tensor, Tensor]:
        value = log_density(z)
        total = torch.zeros_like(value)
        for _ in range(self.proposals):
            proposal, log_ratio = self.propose(z, width)
            new = log_density(proposal)
            acceptance = (new - value + log_ratio).exp().clamp_max(1)
            accepted = torch.rand_like(acceptance) < acceptance
            z = log_density.choose(accepted, proposal, z)
            value = torch.where(accepted, new, value)
            total = total + acceptance
        return z, total / self.proposals


class Flips(Metropolis):
    """Flips of D variables of C values, more often of those of which s and q are unsure.

    Arguments:
        proposals: Of each step, one after the other.
        even: The share of proposals that do not look at s and q; the others do after :meth:`of`.
    """

    def __init__(self, proposals: int = PROPOSALS, even: float = 0.5) -> None:
        super().__init__(proposals)
        self.even = even
        self.start: Tensor | None = None  # log-marginals (B, D, C)
        self.end: Tensor | None = None
        self.variables: Tensor | None = None  # how often each is picked (B, D)
        self.values: Tensor | None = None  # the log-probabilities that it is given (B, D, C)

    def of(self, start: Distribution, q: Distribution) -> Transition:
        new = copy(self)
        new.start, new.end = (self.marginals(_mean(d)).clamp_min(1e-30).log() for d in (start, q))
        return new.at(1.0)

    def at(self, beta: float) -> Transition:
        if self.start is None or self.end is None:
            return self
        new = copy(self)
        p = ((1 - beta) * self.start + beta * self.end).softmax(-1)
        unsure = 1e-6 + 1 - p.square().sum(-1)  # how often two draws differ
        unsure = unsure / unsure.sum(-1, keepdim=True)
        new.variables = unsure.lerp(torch.ones_like(unsure) / unsure.shape[-1], self.even)
        new.values = p.lerp(torch.ones_like(p) / p.shape[-1], self.even).log()
        return new

    @abstractmethod
    def marginals(self, mean: Tensor) -> Tensor:
        """The probability of each value, ``(B, D, C)``, of the mean ``(B, *event)``."""

    def variable(self, flat: Tensor) -> Tensor:
        """Draws which variable each chain flips, ``(chains, B)``, of ``flat`` (chains, B, D, *)."""
        chains, B, D = flat.shape[:3]
        if self.variables is None:
            return torch.randint(D, (chains, B), device=flat.device)
        return torch.multinomial(self.variables, chains, replacement=True).T


def _mean(d: Distribution) -> Tensor:
    """The mean, ``(B, *event)``; of a family that does not say it, that of samples."""
    try:
        return d.mean
    except NotImplementedError:
        z = d.sample(Size([SAMPLES]))
        # so that no value counts as impossible that was not drawn
        return z.mean(0).lerp(z.new_full((), 0.5), 1 / SAMPLES)


class OneHotFlips(Flips):
    """Creates flips of one-hot variables: one of them to another of its C categories."""

    def marginals(self, mean: Tensor) -> Tensor:
        return mean.reshape(len(mean), -1, mean.shape[-1])

    def propose(self, z: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        chains, B, *_, C = z.shape
        flat = z.reshape(chains, B, -1, C)
        i = self.variable(flat)[..., None, None].expand(-1, -1, 1, C)
        old = flat.gather(2, i).squeeze(2)  # (chains, B, C)
        if self.values is None:
            values = torch.zeros_like(old)
        else:
            values = self.values.expand(chains, -1, -1, -1).gather(2, i).squeeze(2)
        there = _but(values, old)
        new = there.sample()
        log_ratio = _but(values, new).log_prob(old) - there.log_prob(new)
        return flat.scatter(2, i, new.unsqueeze(2)).view(z.shape), log_ratio


def _but(log_values: Tensor, category: Tensor) -> OneHotCategorical:
    """The categories but one, ``(chains, B, C)``."""
    return OneHotCategorical(
        logits=log_values.masked_fill(category > 0, -torch.inf), validate_args=False
    )


class BinaryFlips(Flips):
    """Creates flips of binary variables: one of them to its other value."""

    def marginals(self, mean: Tensor) -> Tensor:
        p = mean.flatten(1)
        return torch.stack([1 - p, p], -1)

    def propose(self, z: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        flat = z.flatten(2)
        i = self.variable(flat).unsqueeze(-1)
        new = flat.scatter(2, i, 1 - flat.gather(2, i))
        # which variable is flipped does not depend on the state: there and back are as likely
        return new.view(z.shape), z.new_zeros(z.shape[:2])
