r"""The pathwise derivative: differentiate through the sample.

With :math:`z = g(\epsilon, \phi)` and noise :math:`\epsilon` free of parameters,

.. math:: \nabla_\phi \mathbb{E}_{q_\phi}[f(z)] = \mathbb{E}_\epsilon[\nabla_z f(z) \, \nabla_\phi g(\epsilon, \phi)]

It needs the derivative of :math:`f`, and one evaluation. For a discrete family the draw is
replaced by a relaxed or a straight-through one (``vae.estimators.straight_through``); the
estimate is then biased for the discrete model, by name.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions import describe
from vae.estimators.base import Estimate, Estimator, Integrand
from vae.objectives import Objective

__all__ = ["Pathwise", "Sampler", "reparameterize"]

Sampler = Callable[[Distribution, Size], Tensor]
"""Draws a differentiable sample: ``(q, sample_shape)`` to ``sample_shape + batch_shape +
event_shape``."""


def reparameterize(q: Distribution, sample_shape: Size) -> Tensor:
    """Draws ``q.rsample``, for families that have it.

    Raises:
        NotImplementedError: If the family is not reparameterizable.
    """
    if not q.has_rsample:
        raise NotImplementedError(
            f"Pathwise: {describe(q)} cannot be reparameterized;"
            " use a relaxation (gumbel_softmax, st_gumbel) or a score function (reinforce, rloo, nvil, vimco)"
        )
    return q.rsample(sample_shape)


class Pathwise(Estimator):
    """Creates the reparameterization-trick estimator.

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), section 2.4.
        | Stochastic Backpropagation (Rezende, Mohamed & Wierstra, 2014), section 3.

    Arguments:
        sampler: How a differentiable sample is drawn. A module keeps its state (a temperature) in
            the checkpoint.
    """

    def __init__(self, sampler: Sampler = reparameterize) -> None:
        super().__init__()
        self.sampler = sampler

    def forward(
        self,
        q: Distribution,
        f: Integrand,
        objective: Objective,
        context: Tensor | None = None,
    ) -> Estimate:
        z = self.sampler(q, torch.Size([objective.num_samples]))  # (K, B, *event)
        return Estimate(objective.reduce(f(z, q)))
