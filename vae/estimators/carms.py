r"""Antithetic sets of categorical samples, by sticks that are broken together.

**Sticks.** Order the categories by probability, the rarest first, and ask "is it this one?" of each
in turn: at category n with the probability :math:`p_n = \pi_n / (\pi_n + \dots + \pi_C)`. Let
several samples answer each question by negatively correlated bits; those of different questions are
independent. Each sample then has the law :math:`\pi`, and two of them seldom agree.

**The weight.** Let :math:`P(a, b)` be the probability of the pair :math:`(a, b)`. Where it is
positive for all :math:`a \ne b`, the leave-one-out score of two samples needs one factor to be
right:

.. math:: \nabla \mathbb{E}[f] = \mathbb{E}\Big[\tfrac12 \big(f(z) - f(z')\big)
    \big(\nabla \log \pi_z - \nabla \log \pi_{z'}\big) \frac{\pi_z \pi_{z'}}{P(z, z')}\Big]

for it makes of the sum over :math:`a \ne b` that of independent samples, to which :math:`a = b` adds
nothing. Of several independent variables each has a factor of its own: the pairs of the others do
not depend on its pair. For the sticks, a pair parts at the first question that one of the two
answers with yes, say :math:`a`, and each goes on by itself:

.. math:: \frac{\pi_z \pi_{z'}}{P(z, z')} = \frac{p_a (1 - p_a)}{P_a(1, 0)}
    \prod_{n < a} \frac{(1 - p_n)^2}{P_n(0, 0)}

The order is what makes it safe: :math:`p_n \le 1 / (C - n + 1)`, so that no :math:`P_n(0, 0)` in it
vanishes, and antithetic pairs have weights below 2. In another order some pairs may never occur,
and the estimate be biased.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import detach, logits_of
from vae.distributions.special import change, finite, one_hot
from vae.estimators.antithetic import Antithetic, antithetic_bits
from vae.estimators.arms import dirichlet_copula
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import Average, Objective

__all__ = ["CARMS", "DisARMIW", "Sticks", "sticks"]


class Sticks(NamedTuple):
    """Categories, the rarest first, as a sequence of questions.

    Attributes:
        order: The category of each place in the sequence, with shape (B, D, C).
        logits: Of a yes to each question, none positive, with shape (B, D, C - 1). The last
            category is what is left.
    """

    order: Tensor
    logits: Tensor

    def place(self, bits: Tensor) -> Tensor:
        """Answers, (K, B, D, C - 1), to the number of noes before the first yes, (K, B, D)."""
        return (1 - bits).cumprod(-1).sum(-1).long()

    def vertex(self, place: Tensor, like: Tensor) -> Tensor:
        """Places (K, B, D) to one-hot vectors (K, B, D, C) of the dtype of ``like``."""
        order = self.order.expand(*place.shape, self.order.shape[-1])
        return one_hot(order.gather(-1, place.unsqueeze(-1)).squeeze(-1), like)

    def weight(self, apart: Tensor, first: Tensor) -> Tensor:
        """The factor of pairs that part at the question ``first``, (*, B, D).

        Arguments:
            apart: :math:`p (1 - p) / P(1, 0)` of each question, with shape (B, D, C - 1).
            first: Questions, with shape (*, B, D). What is beyond the last counts as the last.
        """
        p = self.logits.sigmoid()
        both_no = (1 - p) / (1 - p / apart)  # (1 - p)^2 / P(0, 0): P(0, 0) = 1 - p - P(1, 0)
        before = torch.cat([torch.ones_like(p[..., :1]), both_no[..., :-1].cumprod(-1)], -1)
        table = (before * apart).expand(*first.shape, p.shape[-1])
        return table.gather(-1, first.clamp_max(p.shape[-1] - 1).unsqueeze(-1)).squeeze(-1)


def sticks(logits: Tensor) -> Sticks:
    """The sticks of categories with these logits, (B, D, C); no gradient passes."""
    ascending, order = finite(logits.detach()).sort(-1)
    rest = ascending.flip(-1).logcumsumexp(-1).flip(-1)[..., 1:]  # of all that come later
    return Sticks(order, (ascending[..., :-1] - rest).clamp_max(0))


class DisARMIW(Antithetic):
    r"""Creates the DisARM-IW estimator: antithetic sticks, importance-weighted.

    "IW" stands for the weight of a *pair*: under every bound the pairs are those of
    :class:`~vae.estimators.antithetic.Antithetic`, as many as samples. It is the estimator that
    DisARM-SB and DisARM-Tree are compared with; for two categories all of them are DisARM. The
    authors' VAEs take one pair a step: K = 1 here.

    .. math:: \tfrac12 \big(f(z) - f(\tilde z)\big) (z - \tilde z) \, (1 - p_a)
        \prod_{n < a} \frac{(1 - p_n)^2}{1 - 2 p_n}

    References:
        | Coupled Gradient Estimators for Discrete Latent Variables (Dong, Mnih & Tucker, 2021;
        | https://arxiv.org/abs/2106.08056).
    """

    families = (OneHotCategorical,)
    paper = "Dong et al. 2021"

    def couple(self, q: Distribution, sample_shape: Size) -> tuple[Tensor, Tensor, Tensor]:
        logits = logits_of(q)  # (B, D, C)
        questions = sticks(logits)
        b, b_tilde, _ = antithetic_bits(questions.logits, sample_shape)
        place, place_tilde = questions.place(b), questions.place(b_tilde)
        z, z_tilde = (questions.vertex(p, logits) for p in (place, place_tilde))
        # antithetic bits differ wherever one of them is a yes: P(1, 0) = p
        apart = (-questions.logits).sigmoid()
        weight = questions.weight(apart, torch.minimum(place, place_tilde)).unsqueeze(-1) / 2
        direction = weight * (z - z_tilde) * change(logits)
        return z, z_tilde, direction.flatten(2).sum(-1)


class CARMS(Estimator):
    r"""Creates the categorical antithetic-REINFORCE-multi-sample estimator.

    The K samples of the bound are one set: each question is answered by K bits of a Dirichlet copula
    (:mod:`vae.estimators.arms`).

    .. math:: \frac{1}{K (K - 1)} \sum_{i < j} (f_i - f_j)
        \big(\nabla \log q(z_i) - \nabla \log q(z_j)\big) \frac{\pi_{z_i} \pi_{z_j}}{P(z_i, z_j)}

    With independent samples it would be RLOO, for two categories it is ARMS, for K = 2 DisARM-IW of
    one pair. For averages only: an importance-weighted bound is an expectation over *independent*
    samples. The authors couple the samples by sticks, as here, by the inverse distribution function
    at random orders of the categories, or by Gumbel noise, with an estimated P.

    References:
        | CARMS: Categorical-Antithetic-REINFORCE Multi-Sample Gradient Estimator (Dimitriev & Zhou,
        | 2021; https://arxiv.org/abs/2110.14002).
    """

    families = (OneHotCategorical,)
    objectives = (Average,)
    min_samples = 2
    paper = "Dimitriev & Zhou 2021"

    def hint(self) -> str:
        return f"{super().hint()}, and arms is the same for binary variables"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        K, logits = objective.num_samples, logits_of(q)  # (B, D, C)
        questions = sticks(logits)
        bits, apart = dirichlet_copula(questions.logits, K)
        place = questions.place(bits)  # (K, B, D)
        z = questions.vertex(place, logits)
        fz = f(z, detach(q))  # (K, B)
        difference = (fz[:, None] - fz).detach().unsqueeze(-1)  # (K, K, B, 1)
        weight = questions.weight(apart, torch.minimum(place[:, None], place))  # (K, K, B, D)
        # of a pair in one place the terms cancel: its z are the same
        signal = (difference * weight).sum(1) / (K * (K - 1))  # (K, B, D)
        score = (signal.unsqueeze(-1) * z * change(logits)).flatten(2).sum(-1)
        return Estimate(attach(objective.reduce(fz), score.sum(0)))
