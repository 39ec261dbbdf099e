r"""Straight-through samplers between ReinMax and Gumbel-Rao: ReinMax-Rao and ReinMax-CV.

ReinMax takes a Jacobian of the softmax in the middle :math:`m = (D + \pi) / 2` of vertex and mean
(:mod:`vae.estimators.straight_through`). Here it is compared with, or replaced by, that of the
Gumbel-softmax there,

.. math:: G = \tfrac1\tau J\big(\mathrm{softmax}((\log m + g) / \tau)\big), \qquad
    \bar G = \mathbb{E}[G \mid \arg\max(\log m + g) = D]

with the mean over the noise given the vertex estimated as Gumbel-Rao does, by M draws.

What can be said of them, derived here rather than copied:

- The paper's equation 18 lacks a factor 2 before ReinMax's first term, and its equation 17 has the
  second Jacobian at :math:`m` in the place of :math:`\pi`: as printed, neither is exact for linear f,
  however small :math:`\bar G - G` is.
- Given the vertex ReinMax has no noise, so there is nothing to Rao-Blackwellise: the mean of
  ReinMax-Rao is not that of ReinMax, at any temperature. It is that of the same rule with one draw.
- :math:`\mathbb{E}[\bar G - G \mid D] = 0` if the noise of :math:`G` is drawn given the vertex as well. Then
  ReinMax-CV has the mean of ReinMax, and no lower variance: what ReinMax and :math:`\nabla f(D)` are
  given the vertex is a constant, with which nothing of mean zero is correlated. No control variate
  that multiplies :math:`\nabla f(D)` keeps the mean for every f and lowers the variance. If the noise is drawn
  freely, as in the authors' code, it may be lower, and the mean is another.
"""

from __future__ import annotations

from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.couplings import (
    middle_logits,
    perturb,
    perturb_given,
    soft_differential,
    soften,
)
from vae.distributions.operations import logits_of, with_logits
from vae.estimators.straight_through import Tempered
from vae.ranges import assert_at_least_one, assert_finite

__all__ = ["ReinMaxCV", "ReinMaxRao"]


class _Middle(Tempered):
    """A sampler with Gumbel-softmax Jacobians in the middle of vertex and mean."""

    paper = "Wang & Bui 2026"

    def __init__(self, temperature: float, num_inner: int) -> None:
        super().__init__(temperature)
        assert_at_least_one("num_inner", num_inner)
        self.num_inner = num_inner

    def _jacobian(self, q: Distribution, perturbed: Tensor) -> Tensor:
        """G, as what it adds to a vertex."""
        return soft_differential(q, soften(q, perturbed, self.temperature)) / self.temperature

    def _mean_jacobian(self, q: Distribution, middle: Distribution, z: Tensor) -> Tensor:
        drawn = perturb_given(middle, z, Size([self.num_inner]))  # (M, K, B, *event)
        return self._jacobian(q, drawn).mean(0)


class ReinMaxRao(_Middle):
    r"""Creates the ReinMax-Rao sampler: ReinMax with a Gumbel-Rao Jacobian in the middle.

    .. math:: J = 2 \bar G - \tfrac12 J(\pi)

    Its mean is that of the rule with one draw of the noise given the vertex, its variance no larger
    for any M. It is exact for no class of f (:mod:`vae.estimators.beyond_reinmax`).

    References:
        | Beyond ReinMax (Wang & Bui, 2026), equation 17 (https://arxiv.org/abs/2603.08257).

    Arguments:
        temperature: That of the Gumbel-softmax.
        num_inner: The number M of draws given each vertex; f is evaluated at the vertex only.
    """

    bias = "derivative of a relaxation between vertex and mean, at the vertex"

    def __init__(self, temperature: float = 1.0, num_inner: int = 10) -> None:
        super().__init__(temperature, num_inner)

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        z = q.sample(sample_shape)
        middle = with_logits(q, middle_logits(q, z))
        mean = soft_differential(q, soften(q, logits_of(q), 1.0))
        return z + 2 * self._mean_jacobian(q, middle, z) - mean / 2


class ReinMaxCV(_Middle):
    r"""Creates the ReinMax-CV sampler: ReinMax and a multiple of a difference of Jacobians.

    .. math:: J = 2 J(m) - \tfrac12 J(\pi) + \eta\, (\bar G - G)

    With the noise of G given the vertex its mean is ReinMax's, so that it is exact for quadratic f,
    and its variance is no lower; with free noise neither holds
    (:mod:`vae.estimators.beyond_reinmax`).

    References:
        | Beyond ReinMax (Wang & Bui, 2026), equation 18 (https://arxiv.org/abs/2603.08257).

    Arguments:
        temperature: That of the Gumbel-softmax.
        num_inner: The number M of draws given each vertex; f is evaluated at the vertex only.
        eta: The weight of the difference.
        free: Whether the noise of G is drawn freely, as the authors do, and not given the vertex.
    """

    bias = "derivatives of f at vertices, for a difference of f between them"
    exact_for: str | None = "quadratic"

    def __init__(
        self,
        temperature: float = 1.0,
        num_inner: int = 10,
        eta: float = 0.5,
        free: bool = False,
    ) -> None:
        super().__init__(temperature, num_inner)
        assert_finite("eta", eta)
        self.eta, self.free = eta, free
        if free:
            self.exact_for = None

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        z = q.sample(sample_shape)
        logits = middle_logits(q, z)
        middle = with_logits(q, logits)
        first = soft_differential(q, soften(q, logits, 1.0))
        mean = soft_differential(q, soften(q, logits_of(q), 1.0))
        noise = (
            perturb(middle, Size())
            if self.free
            else perturb_given(middle, z, Size([1])).squeeze(0)
        )
        variate = self._mean_jacobian(q, middle, z) - self._jacobian(q, noise)
        return z + 2 * first - mean / 2 + self.eta * variate
