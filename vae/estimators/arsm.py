r"""ARS and ARSM: the noise of a category changes places with that of another.

A categorical variable is the race of exponential times :math:`E_c`, :math:`z = \arg\min_c E_c
e^{-l_c}`. The score of the times :math:`E_c e^{-l_c}` in the logit :math:`l_c` is :math:`1 - E_c`,
and :math:`E_c = \pi_c \sum_j E_j`, with a :math:`\mathrm{Dirichlet}(1, \dots, 1)` vector
:math:`\pi` that is independent of the sum, whose mean is C; z depends on :math:`\pi` alone. So

.. math:: \nabla_{l_c} \mathbb{E}[f(z)] = \mathbb{E}\big[f(z) (1 - C \pi_c)\big]

**Swap.** The law of :math:`\pi` stays when two of its entries change places. Let :math:`z^{cj}` be
what z becomes when :math:`\pi_c` and :math:`\pi_j` do, in *all* variables at once: with a category j
for reference, :math:`f(z) (1 - C \pi_c)` has the mean of :math:`f(z^{cj}) (1 - C \pi_j)`. Summed over
c that is zero, since the logits have a common shift that changes nothing; so the mean over c is a
baseline:

.. math:: \nabla_{l_c} \mathbb{E}[f] =
    \mathbb{E}\Big[\Big(f(z^{cj}) - \frac1C \sum_m f(z^{mj})\Big) (1 - C \pi_j)\Big]

**Merge.** Any j will do. ARS draws one; ARSM takes the mean over all, given :math:`\pi`: its variance
is never above that of ARS (Rao and Blackwell), in any coordinate. For two categories both are ARM.

Several samples: given the others, sample k sees the objective :math:`h_k`, so that :math:`h_k(f)`
takes the place of f; only sample k has its noise swapped.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.one_hot import OneHotCategorical, gumbel_like
from vae.distributions.operations import detach, logits_of
from vae.distributions.special import change, finite, one_hot
from vae.estimators.base import Estimate, Estimator, Integrand, attach, without_score
from vae.objectives import Objective

__all__ = ["ARS", "ARSM", "Swapped"]


class Swapped(Estimator):
    """Base of the estimators that evaluate f where noise has changed places.

    The bound is that of the K samples as they were drawn; the swapped ones have no graph.
    """

    families = (OneHotCategorical,)
    paper = "Yin et al. 2019"

    def hint(self) -> str:
        return f"{super().hint()}, and arm is the same for binary variables"

    @abstractmethod
    def slope(self, gain: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
        r"""The gradient in the logits, with shape (K, B, D, C).

        Arguments:
            gain: Orders of the categories' noise, (S, K, B, C), to what the objective gains by each
                in its sample, h_k - R, with shape (S, K, B).
            weight: :math:`1 - C \pi`, with shape (K, B, D, C).
        """

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        K, logits = objective.num_samples, logits_of(q)  # (B, D, C)
        noise, fixed = gumbel_like(logits, Size([K, *logits.shape])), finite(logits.detach())
        z = one_hot((fixed + noise).argmax(-1), logits)  # (K, B, D, C)
        fz = f(z, without_score(q, objective))  # (K, B)
        bound = objective.reduce(fz)

        def gain(order: Tensor) -> Tensor:
            index = order.unsqueeze(-2).expand(-1, *noise.shape)
            moved = noise.expand(index.shape).gather(-1, index)
            swapped = one_hot((fixed + moved).argmax(-1), logits)  # (S, K, B, D, C)
            alternative = f(swapped.flatten(0, 1), detach(q)).unflatten(0, (-1, K))
            alternative = alternative.transpose(0, 1)  # (K, S, B)
            value = fz.detach()[:, None].expand_as(alternative)
            return -objective.signal(value, alternative).transpose(0, 1)

        with torch.no_grad():
            # the times of the race are e^-noise
            weight = 1 - logits.shape[-1] * (-noise).softmax(-1)
            slope = self.slope(gain, weight.to(logits.dtype))
        return Estimate(attach(bound, (slope * change(logits)).flatten(2).sum((0, 2))))


class ARS(Swapped):
    r"""Creates the augment-REINFORCE-swap estimator.

    The category j is drawn uniformly for each sample and image. f is evaluated C times a sample.

    References:
        | ARSM: Augment-REINFORCE-Swap-Merge Estimator for Gradient Backpropagation Through
        | Categorical Variables (Yin, Yue & Zhou, 2019; https://arxiv.org/abs/1905.01413).
    """

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return K * C

    def slope(self, gain: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
        K, B, D, C = weight.shape
        c = torch.arange(C, device=weight.device)
        j = torch.randint(C, (K, B, 1), device=weight.device)
        other = (j + c[1:].view(-1, 1, 1, 1)) % C  # (C - 1, K, B, 1)
        found = gain(torch.where(c == j, other, torch.where(c == other, j, c)))  # (C - 1, K, B)
        table = torch.cat([torch.zeros_like(found[:1]), found]).movedim(0, -1)  # by c - j mod C
        table = table.gather(-1, (c - j) % C)  # (K, B, C)
        centred = table - table.mean(-1, keepdim=True)
        return centred.unsqueeze(2) * weight.gather(-1, j.unsqueeze(2).expand(-1, -1, D, -1))


class ARSM(Swapped):
    r"""Creates the augment-REINFORCE-swap-merge estimator.

    f is evaluated 1 + C (C - 1) / 2 times a sample: 46 of ten categories. Many of these are of the
    same z, which the authors look up instead; here each is computed, since how many differ is not
    known before.

    References:
        | ARSM: Augment-REINFORCE-Swap-Merge Estimator for Gradient Backpropagation Through
        | Categorical Variables (Yin, Yue & Zhou, 2019; https://arxiv.org/abs/1905.01413).
    """

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return K * (1 + C * (C - 1) // 2)

    def slope(self, gain: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
        K, B, _, C = weight.shape
        c = torch.arange(C, device=weight.device)
        a, b = torch.triu_indices(C, C, 1, device=weight.device)[..., None, None, None]
        order = torch.where(c == a, b, torch.where(c == b, a, c))  # (S, 1, 1, C)
        found = gain(order.expand(-1, K, B, -1))  # (S, K, B)
        found = torch.cat([found, torch.zeros_like(found[:1])])  # the last: of c = j
        low, high = torch.minimum(c, c[:, None]), torch.maximum(c, c[:, None])
        number = low * (2 * C - low - 1) // 2 + high - low - 1  # of the pair, in that order
        table = found[number.masked_fill(low == high, -1)]  # (C, C, K, B): c, then j
        centred = (table - table.mean(0)).movedim((0, 1), (-2, -1))  # (K, B, C, C)
        return weight.to(centred.dtype) @ centred.mT / C
