r"""The one interface of all gradient estimators.

An estimator owns the evaluation of the integrand: it draws the samples it likes, calls :math:`f`
as often as it likes, and returns a tensor whose *value* is the bound and whose *gradient* is the
estimate. Autograd then does the rest: the parameters of the model inside :math:`f` get their
ordinary gradient, the parameters of :math:`q` get the estimator's.

:math:`f` takes the distribution as an argument, so that an estimator may hand it ``detach(q)``; a
closure over :math:`q` would make sticking-the-landing and frozen-entropy scores impossible. Its
direct dependence on :math:`q` must be through :math:`\log q(z)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from torch.distributions import Distribution

from vae.objectives import Objective

__all__ = ["Estimate", "Estimator", "Integrand", "attach"]

Integrand = Callable[[Tensor, Distribution], Tensor]
"""``f(z, q)``: latents ``(K, B, *event)`` and the distribution they came from, to ``(K, B)``."""


class Estimate(NamedTuple):
    """What an estimator returns.

    Attributes:
        bound: Value R(f_1, ..., f_K) in nats, with shape (B,). Its gradient is the estimate.
        auxiliary: A scalar loss that trains the estimator's own parameters and nothing else.
    """

    bound: Tensor
    auxiliary: Tensor | float = 0.0


class Estimator(nn.Module, ABC):
    """Estimates the gradient of E_q[R(f(z_1), ..., f(z_K))] in the parameters of q."""

    @abstractmethod
    def forward(
        self,
        q: Distribution,
        f: Integrand,
        objective: Objective,
        context: Tensor | None = None,
    ) -> Estimate:
        """Estimates the expectation of R(f) under q.

        Arguments:
            q: The distribution, with batch shape (B,).
            f: The integrand.
            objective: Gives K and R.
            context: What a learned baseline may look at, with shape ``(B, *)``: the images.

        Raises:
            NotImplementedError: If the estimator is not defined for the family of ``q``.
        """


def attach(value: Tensor, surrogate: Tensor) -> Tensor:
    """Forward: the value. Backward: the gradient of the value plus that of the surrogate."""
    return value + (surrogate - surrogate.detach())
