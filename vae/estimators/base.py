r"""The one interface of all gradient estimators.

An estimator evaluates the integrand itself: it draws the samples that it needs, calls :math:`f` as
often as it needs, and returns a tensor whose *value* is the bound and whose *gradient* is the
estimate. Autograd does the rest: the parameters of the model inside :math:`f` get their ordinary
gradient, the parameters of :math:`q` get the estimator's.

:math:`f` takes the distribution as an argument, so that an estimator may give it ``detach(q)``: if
:math:`f` held :math:`q` itself, sticking-the-landing could not be written. :math:`f` may depend on
:math:`q` directly only through :math:`\log q(z)`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae.distributions.operations import base_of, describe, detach, differentiable
from vae.distributions.quantised import Quantised
from vae.objectives import Average, Model, Objective
from vae.recorded import Recorded

__all__ = [
    "Estimate",
    "Estimator",
    "Integrand",
    "Twin",
    "assert_independent",
    "attach",
    "without_score",
]

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

    A subclass writes :meth:`estimate` and states its claims as attributes, as
    ``torch.distributions`` does. :meth:`check` refuses what they exclude, and
    :func:`vae.certify.assert_claims` tests them.

    Attributes:
        families: The families it is defined for, as base of an ``Independent``.
        objectives: The bounds it is defined for.
        bias: None if the estimate is unbiased; else what it is biased towards.
        exact_for: The integrands for which a biased estimator is exact: "linear", "quadratic", or
            None.
        needs_gradient: Whether it differentiates f in z.
        differentiates_all: Whether the estimate is right where f depends on q in other ways than
            through log q(z) too.
        trains_prior: Whether it has an estimate of its own for the prior's parameters too.
        min_samples: The smallest K.
        paper: Authors and year of its source.
    """

    families: tuple[type[Distribution], ...] = (Distribution,)
    objectives: tuple[type[Objective], ...] = (Objective,)
    bias: str | None = None
    exact_for: str | None = None
    needs_gradient: bool = False
    differentiates_all: bool = False
    trains_prior: bool = False
    min_samples: int = 1
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

    def bind(self, model: Model) -> None:
        """Tells the estimator which model it serves, once, before its first use.

        Most do not care; an estimator that uses the model's prior takes ``model.prior`` here.
        """

    def assert_fits(self, q: Distribution) -> None:
        """Refuses a q on which the estimator is defined and trains nothing, when a model is made.

        Unlike :meth:`check` it may look at values.
        """

    def at_step(self, step: int) -> None:  # noqa: B027  # most do not care
        """Tells the estimator the number of the optimiser's next step, counted from 0."""

    def supports(self, q: Distribution) -> bool:
        """Whether the estimator is defined for the family of ``q``."""
        return isinstance(base_of(q), self.families) and self._takes_point_mass(q)

    def _takes_point_mass(self, q: Distribution) -> bool:
        """Whether q is random or, where it is not, the estimator says what to do then."""
        return not isinstance(base_of(q), Quantised) or Quantised in self.families

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        """Evaluations of f an image.

        Arguments:
            K: Samples of the bound.
            D: Variables.
            C: Categories of each, where they have categories; 2 of binary variables.
            family: Their distribution, where the cost depends on it.
        """
        return K

    def check(self, q: Distribution, objective: Objective) -> None:
        """Raises what :meth:`forward` says, naming both types."""
        name = self.extra_name()
        if not self._takes_point_mass(q):
            raise NotImplementedError(
                f"{name} is not defined for {describe(q)}, a point mass:"
                " straight_through_codes and rotation_trick are"
            )
        if not self.supports(q):
            raise NotImplementedError(f"{name} is not defined for {describe(q)}{self.hint()}")
        if self.needs_gradient and objective.holds_log_q and not differentiable(q):
            raise NotImplementedError(
                f"{name} differentiates f, and log q(z) of {describe(q)}, which is a part of f under"
                f" {type(objective).__name__}, has no derivative in z: take ELBO with the KL in closed"
                " form, or a score function"
            )
        self.check_objective(objective)

    def check_objective(self, objective: Objective) -> None:
        """Raises what :meth:`forward` says of the objective."""
        name = self.extra_name()
        if not isinstance(objective, self.objectives):
            whole = self.differentiates_all
            concrete = [c for base in self.objectives for c in _concrete(base)]
            taken = [c.__name__ for c in concrete if whole or not c.pathwise_only]
            raise NotImplementedError(
                f"{name} is not defined for {type(objective).__name__}: it takes {', '.join(taken)}"
            )
        if objective.pathwise_only and not self.differentiates_all:
            raise NotImplementedError(
                f"{name} is not defined for {type(objective).__name__}, which depends on q in other"
                " ways than through log q(z): it takes pathwise"
            )
        if objective.num_samples < self.min_samples:
            raise ValueError(
                f"{name} needs num_samples >= {self.min_samples}, got {objective.num_samples}"
            )

    def twin(self, objective: Objective) -> Twin | None:
        """The simpler estimator that is the same under an objective; None if there is none."""
        return None

    def extra_name(self) -> str:
        """The estimator's name in messages."""
        return type(self).__name__

    def hint(self) -> str:
        """What to do instead, for messages: the families that it is defined for."""
        names = [family.__name__ for family in self.families]
        return f": it takes {', '.join(names)}" if self.families != (Distribution,) else ""


def _concrete(base: type[Objective]) -> list[type[Objective]]:
    """The classes of this library that are to be used, of those that derive from one."""
    found = [base] if "bounds" in vars(base) and base is not Objective else []
    below = [c for c in base.__subclasses__() if c.__module__.startswith("vae.")]
    return list(dict.fromkeys(found + [c for one in below for c in _concrete(one)]))


def attach(value: Tensor, surrogate: Tensor) -> Tensor:
    """The value, with its own gradient plus that of the surrogate.

    A value that is infinite stays so, whatever the surrogate is.
    """
    zero = surrogate - surrogate.detach()
    return value + torch.where(value.isfinite(), zero, torch.zeros_like(zero))


def assert_independent(estimator: Estimator, q: Distribution, objective: Objective) -> None:
    """Refuses samples of ``rsample`` that depend on one another where a bound is not their average.

    Raises:
        NotImplementedError: If they do (``stratified``), and it is not.
    """
    stratified = getattr(base_of(q), "stratified", False)
    if stratified and objective.num_samples > 1 and not isinstance(objective, Average):
        raise NotImplementedError(
            f"{estimator.extra_name()} is not defined for {describe(q)} under"
            f" {type(objective).__name__}, which needs independent samples, and these are stratified:"
            " use an average (the ELBO), a score function, or GaussianMixtureLatent"
        )


def without_score(q: Distribution, objective: Objective) -> Distribution:
    """q as f should see it: detached under an average, else q itself.

    Under an average the score of the ``-log q(z)`` in f has mean zero: dropping it costs no bias.
    """
    return detach(q) if isinstance(objective, Average) else q
