r"""The exact expectation, by summing over the support.

.. math:: \mathbb{E}_q[R] = \sum_{z_1, \dots, z_K} \prod_k q(z_k) \, R(f(z_1), \dots, f(z_K))

The truth for every test of bias, and an estimator in its own right where the latent space is
small.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.distributions.operations import MAX_SUPPORT, base_of, describe, support
from vae.estimators.base import Estimate, Estimator, Integrand
from vae.objectives import Average, Objective

__all__ = ["Enumerate"]


class Enumerate(Estimator):
    """Creates the exact estimator: no variance, and an f for each configuration, whatever K is."""

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return C**D

    def supports(self, q: Distribution) -> bool:
        return base_of(q).has_enumerate_support

    def hint(self) -> str:
        return ", which has no finite support to enumerate"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = support(q)  # (S, B, *event)
        fz, log_q = f(z, q), q.log_prob(z)  # (S, B)
        fz = torch.where(log_q.exp() == 0, torch.zeros_like(fz), fz)  # 0 log 0 = 0
        if isinstance(objective, Average):  # the mean over K is that of one
            return Estimate((log_q.exp() * fz).sum(0))
        S, K = z.shape[0], objective.num_samples
        if S**K > MAX_SUPPORT:
            raise ValueError(
                f"Enumerate: {describe(q)} has {S}^{K} tuples of {K} samples,"
                f" more than {MAX_SUPPORT}"
            )
        index = torch.arange(S, device=z.device)
        tuples = torch.cartesian_prod(*[index] * K).view(-1, K).T  # (K, S^K)
        return Estimate((log_q[tuples].sum(0).exp() * objective.reduce(fz[tuples])).sum(0))
