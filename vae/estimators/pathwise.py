r"""The pathwise derivative: differentiate through the sample.

With :math:`z = g(\epsilon, \phi)` and noise :math:`\epsilon` free of parameters,

.. math:: \nabla_\phi \mathbb{E}_{q_\phi}[f(z)] = \mathbb{E}_\epsilon[\nabla_z f(z) \, \nabla_\phi g(\epsilon, \phi)]

It needs the derivative of :math:`f`, and one evaluation. For a discrete family the draw is
replaced by a relaxed or a straight-through one (``vae.estimators.straight_through``); the
estimate is then biased for the discrete model, by name.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from vae.distributions.operations import base_of
from vae.estimators.base import Estimate, Estimator, Integrand, assert_independent
from vae.objectives import Objective
from vae.recorded import Recorded

__all__ = ["Pathwise", "Reparameterization", "Sampler"]


class Sampler(nn.Module, metaclass=Recorded):
    """Draws a differentiable sample.

    It is a module, so that its state, such as a temperature, is in checkpoints.

    Its claims are those of :class:`~vae.estimators.base.Estimator`: :class:`Pathwise` passes them
    on.
    """

    families: tuple[type[Distribution], ...] = (Distribution,)
    bias: str | None = None
    exact_for: str | None = None
    paper: str = ""

    def supports(self, q: Distribution) -> bool:
        return isinstance(base_of(q), self.families)

    @abstractmethod
    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        """A sample of shape ``sample_shape + batch_shape + event_shape``."""


class Reparameterization(Sampler):
    """Draws ``q.rsample``, for the families that have it.

    It is the reparameterization trick, or implicit differentiation of the distribution function
    (Gamma, Beta, Dirichlet).

    torch's derivatives of these three are approximations (:attr:`vae.models.latents.base.Latent.rsample_error`),
    those of Beta and Dirichlet by Jankowiak & Obermeyer.

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), section 2.4
        | (https://arxiv.org/abs/1312.6114).
        | Stochastic Backpropagation (Rezende, Mohamed & Wierstra, 2014), section 3
        | (https://arxiv.org/abs/1401.4082).
        | Implicit Reparameterization Gradients (Figurnov, Mohamed & Mnih, 2018;
        | https://arxiv.org/abs/1805.08498).
        | Pathwise Derivatives Beyond the Reparameterization Trick (Jankowiak & Obermeyer, 2018),
        | https://arxiv.org/abs/1806.01851.
    """

    paper = "Kingma & Welling 2014; Figurnov et al. 2018; Jankowiak & Obermeyer 2018"

    def supports(self, q: Distribution) -> bool:
        return q.has_rsample

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        return q.rsample(sample_shape)


class Pathwise(Estimator):
    """Creates the pathwise estimator.

    Arguments:
        sampler: How a differentiable sample is drawn; by default by reparameterization.
    """

    needs_gradient = differentiates_all = True

    def __init__(self, sampler: Sampler | None = None) -> None:
        super().__init__()
        self.sampler = Reparameterization() if sampler is None else sampler
        self.families, self.bias = self.sampler.families, self.sampler.bias
        self.exact_for, self.paper = self.sampler.exact_for, self.sampler.paper

    def supports(self, q: Distribution) -> bool:
        return self.sampler.supports(q)

    def extra_name(self) -> str:
        return f"Pathwise({type(self.sampler).__name__})"

    def hint(self) -> str:
        if isinstance(self.sampler, Reparameterization):
            return ", which has no rsample: use a relaxation or a score function"
        return super().hint()

    def check(self, q: Distribution, objective: Objective) -> None:
        super().check(q, objective)
        if isinstance(self.sampler, Reparameterization):
            assert_independent(self, q, objective)

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = self.sampler(q, torch.Size([objective.num_samples]))  # (K, B, *event)
        return Estimate(objective.reduce(f(z, q)))
