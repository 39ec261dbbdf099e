r"""Antithetic sets of more than two binary samples, coupled by a Dirichlet copula.

K Bernoulli samples of which each has the right law, but any two are negatively correlated; let
:math:`P_{10} = P(z_i = 1, z_j = 0)` be the chance that a given pair differs in a given way. Since
the D variables are independent, the leave-one-out score needs one factor a variable to be right:

.. math:: \frac{1}{K - 1} \sum_i (f_i - \bar f) (z_i - p) \cdot \frac{p (1 - p)}{P_{10}},

for the sum is :math:`\frac{1}{K(K-1)}` of that of :math:`\tfrac12 (f_i - f_j)(z_i - z_j)` over
ordered pairs, each of mean :math:`P_{10} \, (\mathbb{E}[f | z = 1] - \mathbb{E}[f | z = 0])`, and
the gradient in the logit is :math:`p (1 - p)` times the same difference.

**The copula.** For :math:`d \sim \mathrm{Dirichlet}(1, \dots, 1)` and :math:`m = K - 1`, each
:math:`(1 - d_i)^m` is uniform, and :math:`P(d_i > a, d_j > a) = \max(0, 1 - 2a)^m`. So the rarer
of the two values, of probability :math:`\pi = \min(p, 1 - p)`, is drawn where :math:`(1 - d_i)^m <
\pi`: at :math:`i` and :math:`j` together with probability :math:`\max(0, 2 \pi^{1/m} - 1)^m`, and

.. math:: P_{10} = \pi - \max(0, 2 \pi^{1/m} - 1)^m.

For K = 2 that is :math:`\pi`, and the estimator is DisARM.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution

from vae.distributions.operations import detach, logits_of
from vae.distributions.special import change
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import Average, Objective

__all__ = ["ARMS"]


class ARMS(Estimator):
    r"""Creates the antithetic-REINFORCE-multi-sample estimator.

    The K samples of the bound are one antithetic set. Each sample has the law of q, so the average of f is unbiased. For averages only: an
    importance-weighted bound is an expectation over *independent* samples, and correlated ones
    make it another bound.

    The authors' K is that of here: a set of four is their two pairs.

    References:
        | ARMS: Antithetic-REINFORCE-Multi-Sample Gradient for Binary Variables (Dimitriev & Zhou,
        | 2021; https://arxiv.org/abs/2105.14141).
    """

    families = (Bernoulli,)
    objectives = (Average,)
    min_samples = 2
    paper = "Dimitriev & Zhou 2021"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        K, logits = objective.num_samples, logits_of(q)  # (B, D)
        z, weight = dirichlet_copula(logits.detach(), K)  # (K, B, D), (B, D)
        fz = f(z, detach(q))  # (K, B)
        signal = (fz - fz.mean(0)).detach() / (K - 1)
        score = ((z - logits.detach().sigmoid()) * weight * change(logits)).reshape(
            *z.shape[:2], -1
        )
        return Estimate(attach(objective.reduce(fz), (signal * score.sum(-1)).sum(0)))


def dirichlet_copula(logits: Tensor, K: int) -> tuple[Tensor, Tensor]:
    r"""K antithetic Bernoulli samples, ``(K, *logits.shape)``, and the weight of their scores.

    The weight is :math:`p (1 - p) / P_{10}`, with the shape of the logits.
    """
    dtype, m = torch.promote_types(logits.dtype, torch.float32), K - 1
    log_rare = torch.nn.functional.logsigmoid(-logits.abs().to(dtype))  # log min(p, 1 - p)
    noise = torch.empty(Size([K]) + logits.shape, dtype=dtype, device=logits.device)
    noise = noise.exponential_().clamp_min(torch.finfo(dtype).tiny)
    # 1 - d_i as a sum over the others, from the left and from the right: no subtraction, so it is
    # accurate where it is small, and so are rare values
    nothing = torch.zeros_like(noise[:1])
    left = torch.cat([nothing, noise[:-1]]).cumsum(0)
    right = torch.cat([nothing, noise[1:].flip(0)]).cumsum(0).flip(0)
    rare = m * ((left + right) / noise.sum(0)).log() < log_rare
    pi, together = log_rare.exp(), (2 * (log_rare / m).exp() - 1).clamp_min(0) ** m
    # p (1 - p) / (pi - together), divided through by pi, which may underflow
    weight = (1 - pi) / (1 - together / pi.clamp_min(torch.finfo(dtype).tiny))
    return (rare == (logits < 0)).to(logits.dtype), weight
