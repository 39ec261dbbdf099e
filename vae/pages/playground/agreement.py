"""The JavaScript estimators beside those of :mod:`vae.estimators`, on the same noise; a case is a setting."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam

from vae.certify.exact import exact_gradient, gradients
from vae.certify.problem import Problem
from vae.certify.problems import defined, has_truth
from vae.distributions.operations import configurations
from vae.estimators import Estimator, accepts
from vae.objectives import Objective
from vae.pages.playground.catalogue import (
    BOUNDS,
    DISTINCT,
    RATE,
    SHOWN,
    follows_temperature,
    learns,
    made,
)
from vae.pages.playground.data import SLIDERS
from vae.pages.playground.integrands import FAMILIES, INTEGRANDS, problem
from vae.pages.playground.recorded_noise import RecordedNoise

__all__ = ["Asked", "Case", "asked", "cases", "exact_cases", "worst_differences"]

REPLICATES = 12
"""Of a case: each integrand at three points. No other dimension of any noise has this size."""

INSIDE = 8
"""The points from this one on are at ends of the page's sliders."""

STEPS = 3
"""Of what remembers earlier estimates, by a buffer or by what it trains: a sequence of them at one point."""


class Case(NamedTuple):
    """A setting of the page, under each integrand; without an estimator, its exact gradient."""

    estimator: str | None
    family: str
    D: int
    bound: str
    K: int
    temperature: float = 0.5


def cases(
    variables: Sequence[int] = (1, 2, 3),
    samples: Sequence[int] = (1, 2, 3),
    temperatures: Sequence[float] = (0.25, 1.0),
) -> Iterator[Case]:
    """Every estimator at every setting that it claims."""
    for family, D, bound, K in _settings(variables, samples):
        for name in SHOWN:
            if _possible(name, family, D, bound, K):
                for t in temperatures if follows_temperature(name) else (0.5,):
                    yield Case(name, family, D, bound, K, t)


def exact_cases(
    variables: Sequence[int] = (1, 2, 3), samples: Sequence[int] = (1, 2, 3)
) -> Iterator[Case]:
    """Every setting of which :func:`vae.certify.exact_gradient` knows the gradient."""
    for family, D, bound, K in _settings(variables, samples):
        if has_truth(_somewhere(family, D), BOUNDS[bound](num_samples=K)):
            yield Case(None, family, D, bound, K)


def _settings(
    variables: Sequence[int], samples: Sequence[int]
) -> Iterator[tuple[str, int, str, int]]:
    for family, kind in FAMILIES.items():
        for D in variables:
            for bound in BOUNDS if D <= kind.variables else ():
                for K in samples:
                    yield family, D, bound, K


def _possible(name: str, family: str, D: int, bound: str, K: int) -> bool:
    here = _somewhere(family, D)
    if not defined(made(name), here, BOUNDS[bound](num_samples=K)):
        return False
    q = here.make_q(*(p[None] for p in here.parameters))
    return name not in DISTINCT or K <= configurations(q)


def _somewhere(family: str, D: int) -> Problem:
    return problem(family, D, ["likelihood"], [p[0] for p in _points(family, D, 1)])


def _points(family: str, D: int, count: int) -> list[Tensor]:
    """Where gradients are taken, each ``(count, *shape)``."""
    generator = torch.Generator().manual_seed(D)
    shapes = FAMILIES[family].shapes(D)
    found = []
    for name, shape in shapes.items():
        x = torch.randn(count, *shape, generator=generator).double()
        low, high, *_ = SLIDERS[name]
        inside = -0.7 + 0.3 * x if name == "log scale" else 0.9 * x
        ends = torch.where(x > 0, high, low)
        number = torch.arange(count).view(-1, *[1] * len(shape))
        found.append(torch.where(number < INSIDE, inside, ends))
    return found


class Asked(NamedTuple):
    """What the page is asked, noise included, and torch's answer.

    Attributes:
        question: An argument of the page's ``replay``.
        answer: A gradient for each of its replicates.
    """

    question: dict[str, Any]
    answer: list[list[float]]


def asked(case: Case, seed: int = 0) -> Asked:
    """A case, with the noise that torch draws from a seed."""
    torch.manual_seed(seed)
    name, question = case.estimator, case._asdict() | {"sequence": 1}
    if name is None:
        replicates = _exact(case)
    else:
        question["options"] = SHOWN[name] | {"rate": RATE}
        if follows_temperature(name):
            # as torch holds it, in single precision
            question["options"]["temperature"] = torch.tensor(case.temperature).item()
        if _remembers(name):
            replicates, own = _sequences(case, name)
            question |= {"sequence": STEPS, "own": own}
        else:
            replicates = _batch(case, name)
    return Asked(question | {"replicates": [r for r, _ in replicates]}, [a for _, a in replicates])


Replicates = list[tuple[dict[str, Any], list[float]]]


def _remembers(name: str) -> bool:
    return learns(name) or accepts(name, "decay")


def _exact(case: Case) -> Replicates:
    points, objective = _points(case.family, case.D, REPLICATES), _objective(case)
    found = []
    for b in range(REPLICATES):
        name = list(INTEGRANDS)[b % len(INTEGRANDS)]
        here = problem(case.family, case.D, [name], [p[b] for p in points])
        question = {"integrand": name, "theta": _flat(points, b)}
        found.append((question, exact_gradient(here, objective)[0].tolist()))
    return found


def _sequences(case: Case, name: str) -> tuple[Replicates, list[float]]:
    """Estimates between which the estimator learns, and its own numbers before the first."""
    points, objective = _points(case.family, case.D, len(INTEGRANDS)), _objective(case)
    start = _on_its_way(case, name)
    found = []
    for b, integrand in enumerate(INTEGRANDS):
        leaves = [p[b : b + 1].clone().requires_grad_() for p in points]
        here = problem(case.family, case.D, [integrand], [p[b] for p in points])
        estimator = copy.deepcopy(start)
        optimizer = Adam(estimator.parameters(), lr=RATE) if learns(name) else None
        for _ in range(STEPS):
            with RecordedNoise() as noise:
                q, seen = here.make_q(*leaves), torch.ones(1, 1).double()
                estimate = estimator(q, here.f, objective, seen)
            slopes = torch.autograd.grad(
                estimate.bound.sum(), leaves, retain_graph=True, materialize_grads=True
            )
            if optimizer:
                optimizer.zero_grad()
                estimate.loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            question = {"integrand": integrand, "theta": _flat(points, b)}
            answer = torch.cat([g.flatten() for g in slopes]).tolist()
            found.append((question | {"noise": noise.replicate(0, 1)}, answer))
    return found, [v for p in start.parameters() for v in p.detach().flatten().tolist()]


def _on_its_way(case: Case, name: str) -> Estimator:
    """An estimator that has learned something: what it trains is away from where it starts."""
    estimator = made(name, case.temperature).double()
    if learns(name):
        gradients(estimator, _somewhere(case.family, case.D), _objective(case), 1)  # lazy layers
        for own in estimator.parameters():
            own.data += 0.2 * torch.randn_like(own)
    return estimator


def _batch(case: Case, name: str) -> Replicates:
    points = [p.requires_grad_() for p in _points(case.family, case.D, REPLICATES)]
    integrands = [list(INTEGRANDS)[b % len(INTEGRANDS)] for b in range(REPLICATES)]
    here = problem(case.family, case.D, integrands, points)
    estimator = made(name, case.temperature).to(torch.float64)
    with RecordedNoise() as noise:
        bound = estimator(here.make_q(*points), here.f, _objective(case), None).bound  # (B,)
    slopes = torch.autograd.grad(bound.sum(), points, materialize_grads=True)
    answers = torch.cat([g.flatten(1) for g in slopes], 1).tolist()
    return [
        (
            {
                "integrand": integrands[b],
                "theta": _flat(points, b),
                "noise": noise.replicate(b, REPLICATES),
            },
            answers[b],
        )
        for b in range(REPLICATES)
    ]


def _objective(case: Case) -> Objective:
    return BOUNDS[case.bound](num_samples=case.K)


def _flat(points: Sequence[Tensor], b: int) -> list[float]:
    return torch.cat([p[b].detach().flatten() for p in points]).tolist()


def worst_differences(
    found: Sequence[Asked], ask: Callable[[list[dict[str, Any]]], list[list[list[float]]]]
) -> dict[tuple[str, str], float]:
    """The largest difference of any component of any gradient, by estimator and family.

    Arguments:
        found: Cases with torch's answers.
        ask: The page's ``replay``: from questions to gradients.
    """
    worst: dict[tuple[str, str], float] = {}
    for one, answer in zip(found, ask([a.question for a in found]), strict=True):
        key = (one.question["estimator"] or "exact", one.question["family"])
        difference = torch.tensor(answer, dtype=torch.float64) - torch.tensor(
            one.answer, dtype=torch.float64
        )  # (replicates, P)
        size = difference.abs().nan_to_num(float("inf")).max().item()
        worst[key] = max(worst.get(key, 0.0), size)
    return worst
