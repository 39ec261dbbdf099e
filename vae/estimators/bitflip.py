r"""One bit is flipped, and DisARM is left the bits near one half: BitFlip-1 and UGC.

The derivative of an expectation in the logit of a binary variable with :math:`p = \sigma(l)` is

.. math:: \nabla_{l_d} \mathbb{E}[f] = p_d (1 - p_d) \,
    \mathbb{E}\big[f(z^{d \to 1}) - f(z^{d \to 0})\big]

and of this sum over variables **BitFlip-1** evaluates one term a sample, of a variable i that is
drawn uniformly and counts D times: two evaluations of f, where local expectations take D + 1. The
mean over i, given z, is the local expectation: its variance is never above that of BitFlip-1 (Rao
and Blackwell).

**UGC.** Let :math:`m = \min(p, 1 - p)`, and let no two values of f be further apart than M. The
second moments in the logit are then at most :math:`\tfrac12 m (1 - m)^2 M^2` of DisARM, :math:`D \,
m^2 (1 - m)^2 M^2` of BitFlip-1: DisARM's falls with m only, since a pair that differs is rare but as
noisy as ever. BitFlip-1 has the smaller one where

.. math:: m < \frac1{2 D},

and takes over those variables. Its one bit is drawn among them, so that it counts as often as there
are such variables, not D times. The moments themselves need not be ordered as their bounds: for
:math:`f = \mathbb{1}[z_1 = z_2]` and :math:`p_2 = \tfrac12`, DisARM's gradient in :math:`l_1` has no
variance at all, whatever :math:`p_1` is.

Several samples: sample k sees the objective :math:`h_k` in the place of f.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution

from vae.distributions.operations import detach, logits_of
from vae.distributions.special import change, one_hot
from vae.estimators.antithetic import antithetic_bits
from vae.estimators.base import Estimate, Estimator, Integrand, attach, without_score
from vae.objectives import Objective

__all__ = ["BitFlip", "ClippedDisARM"]


def flip_slope(
    q: Distribution, z: Tensor, fz: Tensor, among: Tensor, f: Integrand, objective: Objective
) -> Tensor:
    """BitFlip-1's gradient in the logits, from one evaluation of f more a sample: (K, B, D).

    Arguments:
        q: The distribution.
        z: Samples, with shape (K, B, D).
        fz: f there, with shape (K, B).
        among: The variables that it is for, a mask with shape (B, D). The gradient in the others,
            and in all where there are none, is zero.
        f: The integrand.
        objective: K and R.
    """
    with torch.no_grad():
        # the largest of as many uniform numbers
        number = torch.rand(z.shape, device=z.device).masked_fill(~among, -1)
        chosen = one_hot(number.argmax(-1), z)  # (K, B, D)
        flipped = torch.where(chosen > 0, 1 - z, z)
        # of the drawn value over the other
        gain = objective.signal(fz.detach(), f(flipped, detach(q))).unsqueeze(-1)
        logits, count = logits_of(q), among.sum(-1, keepdim=True)
        both = logits.sigmoid() * (-logits).sigmoid()  # p (1 - p)
        return gain * chosen * among * (2 * z - 1) * both * count


class BitFlip(Estimator):
    """Creates the BitFlip-1 estimator.

    References:
        | Gradient Estimation for Binary Latent Variables via Gradient Variance Clipping (Kunes et
        | al., 2023; https://arxiv.org/abs/2208.06124).
    """

    families = (Bernoulli,)
    paper = "Kunes et al. 2023"

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return 2 * K

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z, logits = q.sample(Size([objective.num_samples])), logits_of(q)
        fz = f(z, without_score(q, objective))  # (K, B)
        slope = flip_slope(q, z, fz, torch.ones_like(logits, dtype=torch.bool), f, objective)
        return Estimate(attach(objective.reduce(fz), (slope * change(logits)).sum((0, 2))))


class ClippedDisARM(Estimator):
    """Creates the unbiased gradient variance clipping estimator (UGC).

    DisARM, and BitFlip-1 of those variables whose probability is within 1 / (2 D) of 0 or 1. As in
    DisARM the bound is the average of R over the first ends and R over the second; the flipped
    sample is a first end.

    References:
        | Gradient Estimation for Binary Latent Variables via Gradient Variance Clipping (Kunes et
        | al., 2023; https://arxiv.org/abs/2208.06124).
    """

    families = (Bernoulli,)
    paper = "Kunes et al. 2023"

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return 3 * K

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        logits = logits_of(q)  # (B, D)
        steep = logits.detach().abs()
        extreme = (-steep).sigmoid() < 1 / (2 * logits.shape[-1])
        z, z_tilde, _ = antithetic_bits(logits, Size([objective.num_samples]))
        fz, ft = f(torch.cat([z, z_tilde]), without_score(q, objective)).chunk(2)  # (K, B) each
        bound = (objective.reduce(fz) + objective.reduce(ft)) / 2
        first = objective.signal(fz.detach(), ft.detach())
        second = -objective.signal(ft.detach(), fz.detach())
        pair = (first + second).unsqueeze(-1) / 4 * (z - z_tilde) * steep.sigmoid()
        flip = flip_slope(q, z, fz, extreme, f, objective)  # zero where it is not extreme
        slope = torch.where(extreme, flip, pair)
        return Estimate(attach(bound, (slope * change(logits)).sum((0, 2))))
