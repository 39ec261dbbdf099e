r"""Relaxed and straight-through samplers for :class:`~vae.estimators.pathwise.Pathwise`.

Each draws a sample of a discrete family through which a gradient passes. The estimates are biased
for the discrete model: the Gumbel-softmax evaluates :math:`f` inside the simplex, a
straight-through sampler evaluates it at a vertex and pretends that the derivative there is that
of the relaxation.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution

from vae.couplings import harden, perturb, soften
from vae.distributions import OneHotCategorical
from vae.estimators.pathwise import Sampler

__all__ = ["GumbelSoftmax", "StraightThroughGumbel"]


class GumbelSoftmax(Sampler):
    r"""Creates the Gumbel-softmax sampler, :math:`z = \mathrm{softmax}((\log \pi + g) / \tau)`;
    for Bernoulli, the binary Concrete.

    The temperature is a buffer: a schedule fills it, a checkpoint keeps it.

    References:
        | Categorical Reparameterization with Gumbel-Softmax (Jang et al., 2017), equation 2.
        | The Concrete Distribution (Maddison et al., 2017), equation 10.

    Arguments:
        temperature: The temperature :math:`\tau > 0`.
    """

    families = (OneHotCategorical, Bernoulli)
    bias = "of the relaxed model, not the discrete one"
    paper = "Jang et al. 2017; Maddison et al. 2017"
    temperature: Tensor

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        return soften(q, perturb(q, sample_shape), self.temperature)


class StraightThroughGumbel(GumbelSoftmax):
    """Creates the straight-through Gumbel-softmax sampler: a vertex forward, the relaxed sample's
    derivative backward.

    References:
        | Categorical Reparameterization with Gumbel-Softmax (Jang et al., 2017), section 2.2.
    """

    bias = "derivative of the relaxation, at a vertex"
    paper = "Jang et al. 2017"

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        perturbed = perturb(q, sample_shape)
        soft = soften(q, perturbed, self.temperature)
        return harden(q, perturbed) + (soft - soft.detach())
