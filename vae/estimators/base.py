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

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae.distributions.operations import base_of, describe
from vae.objectives import Objective
from vae.recorded import Recorded

__all__ = ["Estimate", "Estimator", "Integrand", "Twin", "attach"]

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

    @property
    def loss(self) -> Tensor:
        """What an optimiser minimises: the auxiliary loss minus the mean bound, with shape ()."""
        return self.auxiliary - self.bound.mean()


class Twin(NamedTuple):
    """A simpler estimator that gives the same gradient, bit for bit.

    Attributes:
        name: Its name in ``ESTIMATORS``.
        reason: Why they are the same, and what makes them differ.
    """

    name: str
    reason: str


class Estimator(nn.Module, metaclass=Recorded):
    """Estimates the gradient of E_q[R(f(z_1), ..., f(z_K))] in the parameters of q.

    An estimator states its claims as attributes, in the manner of ``torch.distributions``; the
    tests check every one of them, and :meth:`check` refuses what they exclude.

    Attributes:
        families: The families that it is defined for, as base of an ``Independent``.
        bias: None if the estimate is unbiased; else in what it is not.
        exact_for: Integrands for which a biased estimator is exact: "linear", "quadratic", or
            None.
        objectives: "any"; "average" (R must be a mean); "weighted" (R must not be).
        needs_gradient: Whether it differentiates f in z.
        min_samples: The smallest K.
        evaluations: Evaluations of f an image, an expression in K samples, D variables of C
            categories, and S = C^D configurations.
        paper: Where it comes from.
    """

    families: tuple[type[Distribution], ...] = (Distribution,)
    bias: str | None = None
    exact_for: str | None = None
    objectives: str = "any"
    needs_gradient: bool = False
    min_samples: int = 1
    evaluations: str = "K"
    paper: str = ""

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
            NotImplementedError: If the estimator is not defined for the family of ``q`` or for the
                objective.
            ValueError: If K is too small.
        """
        self.check(q, objective)
        return self.estimate(q, f, objective, context)

    @abstractmethod
    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        """What :meth:`forward` returns, for arguments that passed :meth:`check`."""

    def supports(self, q: Distribution) -> bool:
        """Whether the estimator is defined for the family of ``q``."""
        return isinstance(base_of(q), self.families)

    def evaluations_for(self, q: Distribution) -> str:
        """``evaluations`` for the family of ``q``, where families differ."""
        return self.evaluations

    def bind(self, model: Any) -> None:
        """Takes from the model what the estimator needs of it, such as its prior; called once, when
        both are put together."""

    def check(self, q: Distribution, objective: Objective) -> None:
        """Raises what :meth:`forward` says, naming both types."""
        name, kind = self.extra_name(), type(objective).__name__
        if not self.supports(q):
            raise NotImplementedError(f"{name} is not defined for {describe(q)}{self.hint()}")
        if self.objectives == "average" and not objective.linear:
            raise NotImplementedError(f"{name} is defined for averages (ELBO), not for {kind}")
        if self.objectives == "weighted" and objective.linear:
            raise NotImplementedError(f"{name} is defined for importance weights, not for {kind}")
        if objective.num_samples < self.min_samples:
            raise ValueError(
                f"{name} needs num_samples >= {self.min_samples}, got {objective.num_samples}"
            )

    def twin(self, objective: Objective) -> Twin | None:
        """The simpler estimator that this one is under an objective; None if it is one of its
        own."""
        return None

    def extra_name(self) -> str:
        """The estimator's name in messages."""
        return type(self).__name__

    def hint(self) -> str:
        """What to do instead, for messages: the families that it is defined for."""
        names = [family.__name__ for family in self.families]
        return f": it takes {', '.join(names)}" if self.families != (Distribution,) else ""


def attach(value: Tensor, surrogate: Tensor) -> Tensor:
    """Forward: the value. Backward: the gradient of the value plus that of the surrogate.

    A value that is infinite stays so, whatever the surrogate is: as infinite, it has no difference
    from itself."""
    zero = surrogate - surrogate.detach()
    return value + torch.where(value.isfinite(), zero, torch.zeros_like(zero))
