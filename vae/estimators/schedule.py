"""Estimators that take turns in a training: a biased one first, say, and an unbiased one after."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae.estimators.base import Estimate, Estimator, Integrand
from vae.objectives import Model, Objective

__all__ = ["EstimatorSchedule"]


class EstimatorSchedule(Estimator):
    """Creates a sequence of estimators, each of which serves until a step of the optimiser.

    Which one serves follows from the step alone, so that a training that is continued goes on with
    the right one; a checkpoint holds it too. What it claims (bias, cost, whether it differentiates
    f) is what that one claims. The objective and the family of q must suit all of them, and each
    begins its turn with its own parameters as they were made.

    Arguments:
        estimators: In their order: estimators, or the paper names of some.
        steps: The optimiser's steps, counted from 0, at which the second one takes over, the third,
            and so on.

    Raises:
        ValueError: If there are fewer than two, or not one step less than estimators, rising.

    Example:
        >>> from vae import EstimatorSchedule
        >>> schedule = EstimatorSchedule(["reinmax", "rloo"], steps=[2000])
        >>> schedule.at_step(1999)
        >>> schedule.bias
        'derivatives of f at vertices, for a difference of f between them'
        >>> schedule.at_step(2000)
        >>> schedule.bias is None
        True
    """

    phase: Tensor

    def __init__(self, estimators: Sequence[str | Estimator], steps: Sequence[int]) -> None:
        super().__init__()
        from vae.estimators.names import constructor  # which may name this class too

        if isinstance(estimators, str) or len(estimators) < 2:
            raise ValueError("EstimatorSchedule takes a list of two estimators or more")
        if len(steps) != len(estimators) - 1:
            raise ValueError(
                f"{len(estimators)} estimators take over at {len(estimators) - 1} steps, got"
                f" {len(steps)}: {list(steps)}"
            )
        if not all(a < b for a, b in pairwise([0, *steps])):
            raise ValueError(f"steps must rise, from 1 on, got {list(steps)}")
        made = [constructor(each)() if isinstance(each, str) else each for each in estimators]
        if len(set(map(id, made))) < len(made):
            raise ValueError("EstimatorSchedule takes another estimator for each turn")
        for before, after in pairwise(made):
            if before.extra_name() == after.extra_name() and repr(before) == repr(after):
                if _values(before) == _values(after):
                    raise ValueError(f"{before.extra_name()} takes over from itself: leave it out")
        self.estimators = nn.ModuleList(made)
        self.turns: tuple[Estimator, ...] = tuple(made)
        self.steps = tuple(steps)
        self.differentiates_all = all(each.differentiates_all for each in made)
        self.trains_prior = any(each.trains_prior for each in made)
        self.min_samples = max(each.min_samples for each in made)
        self.register_buffer("phase", torch.tensor(0))
        self._enter(0)

    @property
    def active(self) -> Estimator:
        """The estimator that serves at present."""
        return self.turns[self.turn]

    def at_step(self, step: int) -> None:
        turn = sum(step >= start for start in self.steps)
        if turn != self.turn:
            self._enter(turn)
            self.phase.fill_(turn)

    def _enter(self, turn: int) -> None:
        # plain values: a compiled step is one of its turn, since they are watched
        self.turn, active = turn, self.turns[turn]
        self.bias, self.exact_for, self.paper = active.bias, active.exact_for, active.paper
        self.needs_gradient = active.needs_gradient

    def _load_from_state_dict(self, *arguments: Any, **named: Any) -> None:
        super()._load_from_state_dict(*arguments, **named)
        if not self.phase.is_meta:
            self._enter(min(int(self.phase), len(self.turns) - 1))

    def bind(self, model: Model) -> None:
        for estimator in self.turns:
            estimator.bind(model)

    def assert_fits(self, q: Distribution) -> None:
        for estimator in self.turns:
            estimator.assert_fits(q)

    def supports(self, q: Distribution) -> bool:
        return all(each.supports(q) for each in self.turns)

    def check(self, q: Distribution, objective: Objective) -> None:
        for estimator in self.turns:
            try:
                estimator.check(q, objective)
            except (NotImplementedError, ValueError) as error:
                raise type(error)(f"{self.extra_name()}: {error}") from None

    def check_objective(self, objective: Objective) -> None:
        for estimator in self.turns:
            estimator.check_objective(objective)

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return self.active.cost(K, D, C, family)

    def extra_name(self) -> str:
        names = [each.extra_name() for each in self.turns]
        turns = zip(names[1:], self.steps, strict=True)
        return (
            f"EstimatorSchedule({names[0]}{''.join(f', {n} from step {s:,}' for n, s in turns)})"
        )

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        if any(isinstance(p, nn.UninitializedParameter) for p in self.parameters()):
            for estimator in self.turns:  # gives lazy layers their shape
                estimator.estimate(q, f, objective, context)
        return self.active.estimate(q, f, objective, context)


def _values(estimator: Estimator) -> list[Any]:
    """The numbers that an estimator was made with, as far as they are plain or scalar."""
    plain = [
        (name, value)
        for part in estimator.modules()
        for name, value in vars(part).items()
        if isinstance(value, (bool, int, float, str)) and not name.startswith("_")
    ]
    return plain + [(n, v.tolist()) for n, v in estimator.named_buffers() if not v.dim()]
