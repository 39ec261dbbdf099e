r"""DisARM for categorical variables, each written as a walk down a binary tree.

A category is reached by a sequence of binary decisions: node :math:`n` splits the categories that
reach it into :math:`L_n` and :math:`R_n`, and sends the walk to :math:`L_n` with the probability
:math:`\sigma(\alpha_n)`,

.. math:: \alpha_n = \log \sum_{c \in L_n} \pi_c - \log \sum_{c \in R_n} \pi_c.

With one independent bit at each of the C - 1 nodes the category is a function of the bits, so
DisARM holds for them as it stands: :math:`\tfrac12 (f(z) - f(\tilde z)) (b_n - \tilde b_n)
\sigma(|\alpha_n|)`. Most bits were never looked at; given the categories :math:`z` and
:math:`\tilde z`, the mean of :math:`(b_n - \tilde b_n) \sigma(|\alpha_n|)` over what is unseen is

===========================  ====================================================
node visited by both         :math:`(b_n - \tilde b_n) \, \sigma(|\alpha_n|)`
by :math:`z` alone           :math:`b_n - \sigma(\alpha_n)`
by :math:`\tilde z` alone    :math:`\sigma(\alpha_n) - \tilde b_n`
by neither                   0
===========================  ====================================================

for a bit is 1 and its unseen antithesis 0 with probability :math:`\min(p, 1 - p)`, and
:math:`\min(p, 1 - p) \max(p, 1 - p) / p = 1 - p`. Autograd takes the gradient from :math:`\alpha`
to the logits. The law of z is the same for every tree and every order of the categories; they are
taken as they come (sorting them by probability changed the variance over 24 random problems by
less than 4 % on average).
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import logits_of
from vae.distributions.special import change
from vae.estimators.antithetic import Antithetic, antithetic_bits

__all__ = ["CategoricalDisARM", "DisARMStickBreaking", "DisARMTree"]


class CategoricalDisARM(Antithetic):
    """DisARM of the binary decisions in a tree; :meth:`span` says which tree.

    The authors' VAEs take one pair a step: K = 1 here.
    """

    families = (OneHotCategorical,)
    paper = "Dong et al. 2021"

    @abstractmethod
    def span(self, middle: Tensor, num_categories: int) -> tuple[Tensor, Tensor]:
        """The tree, as ``start`` and ``end`` of each node.

        Exactly one node separates the categories n - 1 and n, for n in ``middle`` (1, ..., C - 1).
        That node has ``L = start, ..., n - 1`` and ``R = n, ..., end - 1``.
        """

    def couple(self, q: Distribution, sample_shape: Size) -> tuple[Tensor, Tensor, Tensor]:
        logits = logits_of(q)  # (B, D, C)
        dtype, C = logits.dtype, logits.shape[-1]
        c = torch.arange(C, device=logits.device)
        middle = c[1:, None]  # (N, 1) with N = C - 1 nodes
        start, end = self.span(middle, C)
        sides = torch.stack([(start <= c) & (c < middle), (middle <= c) & (c < end)])  # (2, N, C)
        # an impossible category, of logit -inf, must not make inf - inf
        finite = logits.clamp_min(torch.finfo(dtype).min)[..., None, None, :]
        mass = finite.masked_fill(~sides, -torch.inf).logsumexp(-1)  # (B, D, 2, N)
        alpha = mass[..., 0, :] - mass[..., 1, :]  # (B, D, N)
        left, right = sides.to(dtype)

        def category(bits: Tensor) -> Tensor:  # (K, B, D, N) to (K, B, D, C)
            # the one category that no decision on the way to it contradicts
            return (bits @ right + (1 - bits) @ left == 0).to(dtype)

        b, b_tilde, _ = antithetic_bits(alpha, sample_shape)
        z, z_tilde = category(b), category(b_tilde)
        seen, seen_tilde = z @ (left + right).T, z_tilde @ (left + right).T  # (K, B, D, N)
        p, both = alpha.detach().sigmoid(), seen * seen_tilde
        weight = (
            both * (b - b_tilde) * alpha.detach().abs().sigmoid()
            + (seen - both) * (b - p)
            + (seen_tilde - both) * (p - b_tilde)
        ) / 2
        return z, z_tilde, (weight * change(alpha)).reshape(*z.shape[:2], -1).sum(-1)


class DisARMStickBreaking(CategoricalDisARM):
    r"""Creates the DisARM-SB estimator: "is it this category?", asked of each in turn.

    .. math:: L_n = \{n - 1\}, \quad R_n = \{n, \dots, C - 1\}

    References:
        | Coupled Gradient Estimators for Discrete Latent Variables (Dong, Mnih & Tucker, 2021;
        | https://arxiv.org/abs/2106.08056).
    """

    def span(self, middle: Tensor, num_categories: int) -> tuple[Tensor, Tensor]:
        return middle - 1, torch.full_like(middle, num_categories)


class DisARMTree(CategoricalDisARM):
    r"""Creates the DisARM-Tree estimator: the categories are halved until one is left.

    .. math:: L_n = \{n - 2^v, \dots, n - 1\}, \quad R_n = \{n, \dots, n + 2^v - 1\} \qquad
        \text{with } 2^v \text{ the largest power of two that divides } n

    References:
        | Coupled Gradient Estimators for Discrete Latent Variables (Dong, Mnih & Tucker, 2021;
        | https://arxiv.org/abs/2106.08056).
    """

    def span(self, middle: Tensor, num_categories: int) -> tuple[Tensor, Tensor]:
        half = middle & -middle
        return middle - half, (middle + half).clamp_max(num_categories)
