r"""Bidirectional Monte Carlo: :math:`\log p(x)` between two bounds, for images that the model draws.

Of :math:`z^* \sim p(z), x \sim p(x|z^*)`, the latent :math:`z^*` is an exact sample of the posterior.
Chains that start from it and are annealed the other way estimate :math:`1 / p(x)`: minus the log of
their mean weight is an upper bound on :math:`\log p(x)` in expectation, as the annealed estimate is
a lower one. Of other images no posterior sample is known, and only the lower bound holds; how far
it may be off is what the gap of the model's own images says.

References:
    | Sandwiching the marginal likelihood using bidirectional Monte Carlo (Grosse, Ghahramani &
    | Adams, 2015), section 3 (https://arxiv.org/abs/1511.02543).
    | On the quantitative analysis of decoder-based generative models (Wu et al., 2017)
    | (https://arxiv.org/abs/1611.04273).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Size, Tensor

from vae.evaluation.annealing import Annealed, Bridge, anneal, pilot, summed_up
from vae.models.vae import VAE

__all__ = ["Bracket", "bracket", "simulate"]


class Bracket(NamedTuple):
    """Runs both ways, over the same temperatures with the same widths.

    Attributes:
        forward: From the start to the posterior.
        reverse: From an exact sample of the posterior to the start.
    """

    forward: Annealed
    reverse: Annealed

    @property
    def lower(self) -> Tensor:
        """The lower bound on log p(x) in nats, ``(B,)``. Bounds hold in expectation, and may cross."""
        return self.forward.log_mean

    @property
    def upper(self) -> Tensor:
        """The upper bound on log p(x) in nats, ``(B,)``."""
        return -self.reverse.log_mean

    @property
    def gap(self) -> Tensor:
        """Their difference in nats, ``(B,)``."""
        return self.upper - self.lower


@torch.no_grad()
def simulate(vae: VAE, number: int) -> tuple[Tensor, Tensor]:
    """Latents of the prior ``(B, *event)``, and an image of each one's p(x|z), ``(B, *image)``."""
    z = vae.prior().sample(Size([number]))
    return z, vae.decode(z).sample()


@torch.no_grad()
def bracket(
    bridge: Bridge, z: Tensor, betas: Tensor, chains: int = 8, widths: Tensor | None = None
) -> Bracket:
    """Lower and upper bounds on log p(x) of B images.

    Arguments:
        bridge: The densities, of images that the model has drawn.
        z: The latents that they were drawn from, ``(B, *event)``: exact samples of p(z|x).
        betas: Inverse temperatures ``(T + 1,)`` from 0 to 1.
        chains: Of each image, each way; those of the reverse way all start from z.
        widths: Of the transitions, ``(T + 1,)``; by default those of a pilot run.
    """
    widths = pilot(bridge, betas) if widths is None else widths
    forward = summed_up(anneal(bridge, betas, widths, bridge.sample(chains)))
    end = bridge.transition.state(z.expand(chains, *z.shape))
    reverse = summed_up(anneal(bridge, betas.flip(0), widths.flip(0), end))
    return Bracket(forward, reverse)
