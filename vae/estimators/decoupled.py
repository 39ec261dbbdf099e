"""The straight-through Gumbel-softmax with one temperature to draw and another to differentiate."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.couplings import harden, perturb, soften
from vae.distributions.operations import logits_of
from vae.distributions.special import finite
from vae.estimators.straight_through import Tempered
from vae.ranges import assert_positive

__all__ = ["DecoupledStraightThroughGumbel"]


class DecoupledStraightThroughGumbel(Tempered):
    r"""Creates the straight-through Gumbel-softmax sampler with decoupled temperatures.

    .. math:: z = \arg\max(\theta / \tau_f + g), \qquad J = \tfrac{1}{\tau} J\big(\mathrm{softmax}((\theta + g) / \tau)\big)

    The first temperature decides how random the vertices are, the second how far the gradient
    spreads. Were the noise divided by the first one too, as the paper's first version has it, the
    largest would be the same at every temperature. With :math:`\tau_f \ne 1` vertices are drawn from another
    posterior than q: the bound that is trained is not that of the model that is evaluated.

    References:
        | Improving Discrete Optimisation Via Decoupled Straight-Through Gumbel-Softmax (Shah et al.,
        | 2024; https://arxiv.org/abs/2410.13331).

    Arguments:
        temperature: That of the relaxation whose derivative is taken.
        forward_temperature: That of the posterior from which vertices are drawn; 1 is q itself, and
            the plain straight-through Gumbel-softmax, which is refused.
    """

    bias = "of a posterior of another temperature, and the derivative of a relaxation"
    paper = "Shah et al. 2024"
    forward_temperature: Tensor

    def __init__(self, temperature: float = 1.0, forward_temperature: float = 0.5) -> None:
        super().__init__(temperature)
        assert_positive("forward_temperature", forward_temperature)
        if forward_temperature == 1:
            raise ValueError(
                "forward_temperature 1 is st_gumbel: use that, or another temperature"
            )
        self.register_buffer("forward_temperature", torch.tensor(float(forward_temperature)))

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        perturbed = perturb(q, sample_shape)  # (K, B, *event)
        logits = finite(logits_of(q).detach())
        drawn = perturbed.detach() + logits * (1 / self.forward_temperature - 1)
        soft = soften(q, perturbed, self.temperature)
        return harden(q, drawn) + (soft - soft.detach())
