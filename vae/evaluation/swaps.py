r"""Metropolis swaps of k-subsets: one item leaves the set, and another takes its place.

The number of ones stays k, and any set is reached from any other by at most k swaps. The item i that
leaves and the item j that comes are drawn in part evenly and in part by weights,

.. math:: r(z'|z) = a(i | z)\, b(j | z), \qquad a(i|z) \propto e^{-h_i / 2}, \quad b(j|z) \propto e^{h_j / 2},

with :math:`h` the log-odds of the items under :math:`s(z)^{1 - \beta} q(z|x)^\beta`, s being the
start of the chains. A swap is kept with the probability of Metropolis and Hastings; the way back
is the swap of j and i in the new set.
"""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import logits_of
from vae.evaluation.flips import PROPOSALS, Metropolis
from vae.evaluation.transitions import Transition

__all__ = ["Swaps"]


class Swaps(Metropolis):
    """Creates swaps of an item that is in a k-subset and one that is not.

    Of several subsets, one is picked evenly.

    References:
        | Monte Carlo sampling methods using Markov chains and their applications (Hastings, 1970)
        | (https://doi.org/10.1093/biomet/57.1.97).
        | Informed proposals for local MCMC in discrete spaces (Zanella, 2020), section 2
        | (https://doi.org/10.1080/01621459.2019.1585255): the square root.

    Arguments:
        proposals: Of each step, one after the other.
        even: The share of evenly drawn items; the others are drawn by weight after :meth:`of`.
    """

    def __init__(self, proposals: int = PROPOSALS, even: float = 0.5) -> None:
        super().__init__(proposals)
        self.even = even
        self.start: Tensor | None = None  # log-odds (B, L, n)
        self.end: Tensor | None = None
        self.log_odds: Tensor | None = None

    def of(self, start: Distribution, q: Distribution) -> Transition:
        new = copy(self)
        try:
            new.start, new.end = (
                logits_of(d).detach().reshape(len(logits_of(d)), -1, d.event_shape[-1])
                for d in (start, q)
            )
        except NotImplementedError:  # a family that is not by logits
            return self
        return new.at(1.0)

    def at(self, beta: float) -> Transition:
        if self.start is None or self.end is None:
            return self
        new = copy(self)
        new.log_odds = (1 - beta) * self.start + beta * self.end
        return new

    def propose(self, z: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        chains, B, *_, n = z.shape
        flat = z.reshape(chains, B, -1, n)
        row = torch.randint(flat.shape[2], (chains, B, 1, 1), device=z.device)
        row = row.expand(-1, -1, 1, n)
        old = flat.gather(2, row).squeeze(2)  # (chains, B, n)
        if self.log_odds is None:
            log_odds = torch.zeros_like(old)
        else:
            log_odds = self.log_odds.expand(chains, -1, -1, -1).gather(2, row).squeeze(2)
        leaves, comes = self._items(old, log_odds)
        out, into = leaves.sample(), comes.sample()
        new = old - out + into
        back_leaves, back_comes = self._items(new, log_odds)
        there = leaves.log_prob(out) + comes.log_prob(into)
        back = back_leaves.log_prob(into) + back_comes.log_prob(out)
        return flat.scatter(2, row, new.unsqueeze(2)).view(z.shape), back - there

    def _items(self, z: Tensor, log_odds: Tensor) -> tuple[OneHotCategorical, OneHotCategorical]:
        """Which item leaves sets ``(chains, B, n)``, and which one comes."""
        return self._among(z > 0.5, -log_odds / 2), self._among(z < 0.5, log_odds / 2)

    def _among(self, those: Tensor, log_weights: Tensor) -> OneHotCategorical:
        evenly = those / those.sum(-1, keepdim=True)
        weighed = log_weights.masked_fill(~those, -torch.inf).softmax(-1)
        logits = weighed.lerp(evenly.to(weighed), self.even).log()
        return OneHotCategorical(logits=logits, validate_args=False)
