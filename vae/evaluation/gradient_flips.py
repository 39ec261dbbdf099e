r"""Flips of discrete latents that the gradient of the density informs: Gibbs with gradients.

A decoder takes any real code, so that its derivative at a vertex is a first-order estimate d(z) of
what every flip would change log f by. One of all flips is proposed with probability
:math:`\propto e^{d(z) / \tau}`, and kept with that of Metropolis and Hastings, for which the way
back is estimated by the gradient at the new state.

A proposal costs a gradient, two and a half decodings. Where log f is nearly linear it is worth that;
where it is curved from one vertex to the next, as that of a trained decoder is, the slope says little,
and :mod:`vae.evaluation.flips` move more for their time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae.distributions.one_hot import OneHotCategorical
from vae.evaluation.flips import PROPOSALS
from vae.evaluation.transitions import Density, Transition

__all__ = ["GradientFlips"]


class GradientFlips(Transition):
    """Creates Gibbs with gradients, for one-hot or binary variables.

    References:
        | Oops I Took A Gradient: Scalable Sampling for Discrete Distributions (Grathwohl et al., 2021),
        | algorithm 1 (https://arxiv.org/abs/2102.04509).

    Arguments:
        one_hot: Whether variables are one-hot; else binary.
        proposals: Of each step, one after the other.
        temperature: Of the proposal: 2 is locally balanced; more relies less on the gradient.
    """

    adapts = False

    def __init__(
        self, one_hot: bool, proposals: int = PROPOSALS, temperature: float = 2.0
    ) -> None:
        self.one_hot, self.proposals, self.temperature = one_hot, proposals, temperature

    def step(self, z: Tensor, log_density: Density, width: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = log_density.gradient(z)
        there = self._flips(z, gradient)
        total = torch.zeros_like(value)
        for _ in range(self.proposals):
            flip = there.sample()  # (chains, B, flips), one-hot
            proposal = self._flipped(z, flip)
            new, new_gradient = log_density.gradient(proposal)
            back = self._flips(proposal, new_gradient)
            log_ratio = back.log_prob(self._undone(z, flip)) - there.log_prob(flip)
            acceptance = (new - value + log_ratio).exp().clamp_max(1)
            accepted = torch.rand_like(acceptance) < acceptance
            z = log_density.choose(accepted, proposal, z)
            value = torch.where(accepted, new, value)
            there = OneHotCategorical(
                logits=torch.where(accepted[..., None], back.logits, there.logits),
                validate_args=False,
            )
            total = total + acceptance
        return z, total / self.proposals

    def _flips(self, z: Tensor, gradient: Tensor) -> OneHotCategorical:
        """How often each flip of z is proposed: of L C or of D of them."""
        if self.one_hot:
            change = gradient - (gradient * z).sum(-1, keepdim=True)
            change = change.masked_fill(z > 0, -torch.inf)
        else:
            change = (1 - 2 * z) * gradient
        logits = change.flatten(2) / self.temperature
        return OneHotCategorical(logits=logits, validate_args=False)

    def _flipped(self, z: Tensor, flip: Tensor) -> Tensor:
        """z with one entry changed to the value that the flip names."""
        flip = flip.view(z.shape)
        if not self.one_hot:
            return z + (1 - 2 * z) * flip
        return torch.where(flip.any(-1, keepdim=True), flip, z)

    def _undone(self, z: Tensor, flip: Tensor) -> Tensor:
        """The flip that leads back to z."""
        if not self.one_hot:
            return flip
        chosen = flip.view(z.shape).any(-1, keepdim=True)
        return (z * chosen).flatten(2)
