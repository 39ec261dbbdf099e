r"""SIMPLE: a subset forward, the derivative of the marginals backward.

.. math:: \nabla_\theta \mathbb{E}[f(z)] \approx
    \mathbb{E}\big[ J_\mu^\top \nabla f(z) \big], \qquad z \sim q, \quad \mu_i = q(z_i = 1)

It is what straight-through is to a single variable: the derivative of the mean, where the slope of f
at a vertex stands for its differences between vertices.
"""

from __future__ import annotations

from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.distributions.operations import base_of
from vae.distributions.special import change
from vae.estimators.pathwise import Sampler

__all__ = ["SIMPLE"]


class SIMPLE(Sampler):
    """Creates the SIMPLE sampler, for k-subsets: exact samples, and the derivative of the marginals.

    Exact for a linear f: the expectation of one is f of the marginals.

    The authors' VAE has subsets of 10 of 20 items, the KL in closed form, and a uniform prior.

    References:
        | SIMPLE: A Gradient Estimator for k-Subset Sampling (Ahmed et al., 2023), section 4
        | (https://arxiv.org/abs/2210.01941).
    """

    families = (ConditionalBernoulli,)
    bias = "derivative of f at a vertex, for a difference of f between vertices"
    exact_for = "linear"
    paper = "Ahmed et al. 2023"

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        return q.sample(sample_shape) + change(base_of(q).mean)
