r"""FouST, for binary variables.

A function of one binary variable has a difference between its two ends, where a straight-through
sampler takes the derivative at one of them. Written with :math:`x = \pm 1` as :math:`\sum_k c_k x^k`, the
half difference is the sum of :math:`c_k` over odd k, and the derivative is :math:`\sum_k k\, c_k x^{k-1}`. Two steps bring
them together:

- The even k go where both ends count alike: a derivative at the end x is weighed by
  :math:`1 / 2 p(x)`. What is left is ReinMax for binary variables, exact for quadratic f.
- The factors k go where the derivative is taken at :math:`u x` for a uniform :math:`u \in [0, 1]`, since
  :math:`\mathbb{E}\, u^{k-1} = 1 / k`: the mean of the derivative along a line is the difference of its ends.

With many variables all of them leave their ends together, which has a bias of its own; so u is
uniform between ``low`` and 1.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution

from vae.distributions.couplings import differential
from vae.distributions.operations import logits_of
from vae.estimators.pathwise import Sampler

__all__ = ["FouST"]


class FouST(Sampler):
    r"""Creates the FouST sampler of binary variables, which is exact for any f of one variable.

    .. math:: z = \tfrac12 (1 + u x), \quad x = \pm 1, \quad u \sim U(\mathrm{low}, 1), \qquad
        J = \tfrac{1}{2 p(x)}\, p(1) (1 - p(1))

    Its f is evaluated inside the cube, so the bound that is trained is not that of the discrete
    model; a log q(z) inside f has a bias of its own there: take the KL in closed form.
    For more than one variable it is exact for no class of f; near ``low`` = 1 it is ReinMax.

    References:
        | Low Bias Low Variance Gradient Estimates for Boolean Stochastic Networks (Pervez, Cohen &
        | Gavves, 2020; http://proceedings.mlr.press/v119/pervez20a.html).

    Arguments:
        low: The least factor u, in [0, 1); of 0 the bias of one variable is none, and that of its
            neighbours largest.
    """

    families = (Bernoulli,)
    bias = "of variables that all leave their vertices together"
    paper = "Pervez et al. 2020"

    def __init__(self, low: float = 0.8) -> None:
        super().__init__()
        if not 0 <= low < 1:
            raise ValueError(f"low must be in [0, 1), got {low}: at 1 it is ReinMax")
        self.low = low

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        sign = 2 * q.sample(sample_shape) - 1  # (K, B, D)
        factor = self.low + (1 - self.low) * torch.rand(
            sign.shape, dtype=sign.dtype, device=sign.device
        )
        slope = (-sign * logits_of(q).detach()).sigmoid() / 2
        # where the other end is impossible there is no line to go along
        inside = torch.where(slope > 0, factor * sign, sign)
        return (1 + inside) / 2 + slope * differential(q)
