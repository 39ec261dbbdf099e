r"""Metropolis transitions of any discrete latents: a variable drawn anew, and steps of integers.

Of a family of which nothing but ``log_prob`` and ``sample`` is known, a variable i is drawn anew from
what the chains start from or from q(z|x), :math:`r = (s + q) / 2`, and kept with probability

.. math:: \min\Big(1, \frac{f(z')\, r(z_i)}{f(z)\, r(z'_i)}\Big).

Integers move in small steps too, which need no q that is near the posterior.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.operations import base_of
from vae.evaluation.flips import PROPOSALS, Metropolis
from vae.evaluation.transitions import Transition

__all__ = ["IntegerSteps", "Redraws"]


class Redraws(Metropolis):
    """Creates a transition that draws one variable anew, from s or from q: an independence sampler.

    Variables are those of an ``Independent``; of any other family, all of z is drawn anew.

    References:
        | Markov chains for exploring posterior distributions (Tierney, 1994), section 2.3.3
        | (https://doi.org/10.1214/aos/1176325750).
    """

    sources: tuple[Distribution, ...] = ()

    def of(self, start: Distribution, q: Distribution) -> Transition:
        new = copy(self)
        both = start is not q and _variables(start) == _variables(q)
        new.sources = (q, start) if both else (q,)
        return new

    def propose(self, z: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        chains, B = z.shape[:2]
        D = _variables(self.sources[0])
        drawn = torch.stack([source.sample(Size([chains])) for source in self.sources])
        choice = torch.randint(len(drawn), (chains, B), device=z.device)
        drawn = drawn.flatten(3) if z.dim() > 2 else drawn.unsqueeze(-1)  # (sources, chains, B, E)
        fresh = drawn.gather(0, choice[None, ..., None].expand_as(drawn[:1])).squeeze(0)
        flat = z.reshape(chains, B, D, -1)
        i = torch.randint(D, (chains, B), device=z.device)
        wide = i[..., None, None].expand(-1, -1, 1, flat.shape[-1])
        new = flat.scatter(2, wide, fresh.view(flat.shape).gather(2, wide)).view(z.shape)
        return new, self._log_source(z, i) - self._log_source(new, i)

    def _log_source(self, z: Tensor, i: Tensor) -> Tensor:
        """The log-probability of the values of variables i, but for a constant, (chains, B)."""
        D = _variables(self.sources[0])
        each = [base_of(source).log_prob(z).reshape(*i.shape, D) for source in self.sources]
        return torch.stack(each).logsumexp(0).gather(-1, i.unsqueeze(-1)).squeeze(-1)


def _variables(d: Distribution) -> int:
    """How many independent variables it has, as far as it says."""
    if not isinstance(d, Independent):
        return 1
    return base_of(d).batch_shape[len(d.batch_shape) :].numel()


class IntegerSteps(Redraws):
    """Creates steps of integers, half of them up or down by a few, half of them redraws.

    A step is at least 1; what is above 1 is the whole part of an exponential variable, whose mean is
    the standard deviation of q times the width.

    Arguments:
        lower: The least value, a number or one for each entry of z; None if there is none.
        upper: The largest.
        proposals: Of each step, one after the other.
    """

    def __init__(self, lower: Any = None, upper: Any = None, proposals: int = PROPOSALS) -> None:
        super().__init__(proposals)
        self.lower = -torch.inf if lower is None else lower
        self.upper = torch.inf if upper is None else upper
        self.scale: Tensor | float = 1.0

    def of(self, start: Distribution, q: Distribution) -> Transition:
        new = super().of(start, q)
        assert isinstance(new, IntegerSteps)
        with suppress(NotImplementedError):  # a family without a variance
            new.scale = q.stddev
        return new

    def propose(self, z: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        stepped, possible = self._step(z, width)
        log_ratio = torch.zeros_like(possible, dtype=width.dtype).masked_fill(
            ~possible, -torch.inf
        )
        if not self.sources:
            return stepped, log_ratio
        redrawn, of_redrawn = super().propose(z, width)
        redraw = torch.rand_like(log_ratio) < 0.5
        wide = redraw.reshape(*redraw.shape, *[1] * (z.dim() - 2))
        return torch.where(wide, redrawn, stepped), torch.where(redraw, of_redrawn, log_ratio)

    def _step(self, z: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """A step of one entry, up or down alike, and whether it leads to where there is a density."""
        flat = z.reshape(*z.shape[:2], -1)
        i = torch.randint(flat.shape[-1], flat.shape[:2], device=z.device)
        scale = self._picked(self.scale, z, i) * width
        size = 1 + (torch.empty_like(scale).exponential_() * scale).floor()
        sign = 2 * torch.randint_like(i, 2) - 1
        old = flat.gather(-1, i.unsqueeze(-1)).squeeze(-1)
        new = old + (sign * size).to(z.dtype)
        lower, upper = (self._picked(bound, z, i) for bound in (self.lower, self.upper))
        possible = (new >= lower) & (new <= upper)
        new = torch.where(possible, new, old)
        return flat.scatter(-1, i.unsqueeze(-1), new.unsqueeze(-1)).view(z.shape), possible

    def _picked(self, value: Any, z: Tensor, i: Tensor) -> Tensor:
        """Of a number, or of one for each entry of z, that of the entry i of each chain."""
        each = torch.as_tensor(value, device=z.device).expand(z.shape)
        return each.reshape(*i.shape, -1).gather(-1, i.unsqueeze(-1)).squeeze(-1)
