r"""The two terms of the ELBO, each by an estimator of its own.

.. math:: \mathbb{E}_q[\log p(x|z)] + \beta \, \mathbb{E}_q[\log p(z) - \log q(z)]

The first needs a decoder for every value; the second needs none, so that even an estimator of many
evaluations is cheap for it: enumeration, a sum over each variable, the path. The sum of two unbiased
estimates is unbiased.
"""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from vae.estimators.base import Estimate, Estimator, Integrand
from vae.objectives import ELBO, Model, Objective, Terms

__all__ = ["Separately"]


class Separately(Estimator):
    """Creates an estimator of two: one of the reconstruction's term, one of the KL's.

    It is for the ELBO with the KL estimated from samples: the closed form, where there is one, needs
    no estimator. Each of the two draws K samples of its own.

    Arguments:
        reconstruction: That of E_q[log p(x|z)].
        kl: That of -beta KL(q || p(z)).
    """

    objectives = (ELBO,)

    def __init__(self, reconstruction: Estimator, kl: Estimator) -> None:
        super().__init__()
        self.reconstruction, self.kl = reconstruction, kl
        both = (reconstruction, kl)
        biased = [e.bias for e in both if e.bias is not None]
        self.bias = "; ".join(dict.fromkeys(biased)) or None
        self.needs_gradient = any(e.needs_gradient for e in both)
        self.min_samples = max(e.min_samples for e in both)
        self.paper = "; ".join(dict.fromkeys(e.paper for e in both if e.paper))

    def extra_name(self) -> str:
        return f"Separately({self.reconstruction.extra_name()}, {self.kl.extra_name()})"

    def bind(self, model: Model) -> None:
        self.reconstruction.bind(model)
        self.kl.bind(model)

    def supports(self, q: Distribution) -> bool:
        return self.reconstruction.supports(q) and self.kl.supports(q)

    def hint(self) -> str:
        return ": one of the two is not"

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return self.reconstruction.cost(K, D, C, family)

    def check(self, q: Distribution, objective: Objective) -> None:
        self.reconstruction.check(q, objective)
        self.kl.check(q, objective)
        super().check(q, objective)

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        if not isinstance(f, Terms):
            raise NotImplementedError(
                f"{self.extra_name()} estimates two terms, and this bound has its KL in closed form:"
                " use its Monte-Carlo estimate (--model.objective.analytic_kl false), or the first"
                " estimator alone"
            )
        first = self.reconstruction(q, f.reconstruction, objective, context)
        second = self.kl(q, f.kl, objective, context)
        return Estimate(first.bound + second.bound, first.auxiliary + second.auxiliary)
