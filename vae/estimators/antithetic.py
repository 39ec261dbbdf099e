r"""Antithetic pairs of binary variables: ARM, and DisARM, which integrates its noise out.

With logistic noise :math:`s`, :math:`z = \mathbb{1}[l + s > 0]` and its antithesis
:math:`\tilde z = \mathbb{1}[l - s > 0]` both follow :math:`\mathrm{Bernoulli}(\sigma(l))`, and,
for :math:`u = \sigma(-s)`,

.. math:: \nabla_l \mathbb{E}[f(z)] =
    \mathbb{E}\big[\big(f(z) - f(\tilde z)\big) (\tfrac12 - u)\big]

The weight :math:`\tfrac12 - u` has, given the pair, the mean :math:`\tfrac12 (z - \tilde z)
\sigma(|l|)`: where the two agree it is pure noise. Putting the mean in its place is DisARM, whose
variance is therefore never above that of ARM (Rao and Blackwell), in any coordinate.

Several samples: given the others, sample k sees the objective :math:`h_k(a) = R(f_1, \dots, a,
\dots, f_K)`, so :math:`h_k(f_k) - h_k(\tilde f_k)` takes the place of :math:`f(z) - f(\tilde z)`.
A pair keeps its law when its ends change places, all K pairs together: the mean of the two
choices of "the others" is unbiased too, at no further evaluation and no higher variance.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution

from vae.distributions.one_hot import gumbel_like
from vae.distributions.operations import logits_of
from vae.distributions.special import change
from vae.estimators.base import Estimate, Estimator, Integrand, attach, without_score
from vae.objectives import Objective

__all__ = ["ARM", "Antithetic", "DisARM"]


class Antithetic(Estimator):
    r"""Base of the estimators that evaluate f at K pairs :math:`(z_k, \tilde z_k)`.

    The difference of f between the ends of a pair multiplies a direction in the logits. The bound is the average of R over the first ends and R over the second.
    """

    families: tuple[type[Distribution], ...] = (Bernoulli,)

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return 2 * K

    @abstractmethod
    def couple(self, q: Distribution, sample_shape: Size) -> tuple[Tensor, Tensor, Tensor]:
        r"""Draws exchangeable ends ``z`` and ``z_tilde``, ``(K, B, *event)``, and a direction (K, B).

        The direction is a function of the parameters whose gradient :math:`w` obeys
        :math:`\nabla \mathbb{E}[f(z)] = \mathbb{E}[(f(z) - f(\tilde z)) w]` for every f.
        """

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z, z_tilde, direction = self.couple(q, Size([objective.num_samples]))
        both = f(torch.cat([z, z_tilde]), without_score(q, objective))  # (2K, B)
        fz, ft = both.chunk(2)
        bound = (objective.reduce(fz) + objective.reduce(ft)) / 2
        fz, ft = fz.detach(), ft.detach()
        # What is fixed in h_k: the other first ends, or the other second ends.
        first, second = objective.signal(fz, ft), -objective.signal(ft, fz)  # (K, B)
        return Estimate(attach(bound, ((first + second) / 2 * direction).sum(0)))


def antithetic_bits(logits: Tensor, sample_shape: Size) -> tuple[Tensor, Tensor, Tensor]:
    """A pair of Bernoulli draws, 0 or 1, and the logistic noise that they share.

    All have the shape ``sample_shape + logits.shape``.
    """
    shape, logits = sample_shape + logits.shape, logits.detach()
    noise = gumbel_like(logits, shape) - gumbel_like(logits, shape)  # in float32 or wider
    z, z_tilde = logits + noise > 0, logits - noise > 0
    return z.to(logits.dtype), z_tilde.to(logits.dtype), noise


class ARM(Antithetic):
    r"""Creates the augment-REINFORCE-merge estimator.

    The authors' VAEs take one pair a step: K = 1 here.

    .. math:: \big(f(z) - f(\tilde z)\big) (\tfrac12 - u), \qquad z = \mathbb{1}[u < \sigma(l)], \;
        \tilde z = \mathbb{1}[u > \sigma(-l)]

    References:
        | ARM: Augment-REINFORCE-Merge Gradient for Stochastic Binary Networks (Yin & Zhou, 2019),
        | theorem 1 (https://arxiv.org/abs/1807.11143).
    """

    paper = "Yin & Zhou 2019"

    def couple(self, q: Distribution, sample_shape: Size) -> tuple[Tensor, Tensor, Tensor]:
        logits = logits_of(q)  # (B, D)
        z, z_tilde, noise = antithetic_bits(logits, sample_shape)
        weight = 0.5 - (-noise).sigmoid()  # (K, B, D)
        return z, z_tilde, (weight * change(logits)).reshape(*z.shape[:2], -1).sum(-1)


class DisARM(Antithetic):
    r"""Creates the DisARM estimator, also known as unbiased uniform gradient (U2G).

    Under the importance-weighted bound it is the authors' local variant. Their VAEs take one pair a
    step, K = 1 here, and are compared with RLOO of two samples, which evaluates f as often.

    .. math:: \tfrac12 \big(f(z) - f(\tilde z)\big) (z - \tilde z) \, \sigma(|l|)

    References:
        | DisARM: An Antithetic Gradient Estimator for Binary Latent Variables (Dong, Mnih &
        | Tucker, 2020; https://arxiv.org/abs/2006.10680).
        | Probabilistic Best Subset Selection via Gradient-Based Optimization (Yin et al., 2020;
        | https://arxiv.org/abs/2006.06448).
    """

    paper = "Dong et al. 2020; Yin et al. 2020"

    def couple(self, q: Distribution, sample_shape: Size) -> tuple[Tensor, Tensor, Tensor]:
        logits = logits_of(q)  # (B, D)
        z, z_tilde, _ = antithetic_bits(logits, sample_shape)
        weight = (z - z_tilde) * logits.detach().abs().sigmoid() / 2  # (K, B, D)
        return z, z_tilde, (weight * change(logits)).reshape(*z.shape[:2], -1).sum(-1)
