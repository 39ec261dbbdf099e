"""How a mutant of an estimator is made.

A mutant is an estimator of ``ESTIMATORS`` whose class comes from a copy of its module with one
passage of the source replaced: it differs from the original in nothing else. Where the passage is
no longer there, building the mutant fails and says so.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from vae.certify.named import example
from vae.estimators import Estimator


class Mutant(NamedTuple):
    """What is built, and where it is tested.

    Attributes:
        make: Builds the mutant.
        make_original: Builds what it is a mutant of, with the same options.
        original: The original's name in ``ESTIMATORS``.
        problem: A name in ``vae.certify.PROBLEMS``; of an original that is exact for a class of f
            alone, with an f of that class.
        objective: A name in ``vae.certify.OBJECTIVES``.
        wrong: What is wrong with it, in one line.
    """

    make: Callable[[], Estimator]
    make_original: Callable[[], Estimator]
    original: str
    problem: str
    objective: str
    wrong: str


def mutate(estimator: Estimator, old: str, new: str) -> Estimator:
    """The estimator, its classes taken from a copy of its module with ``old`` replaced by
    ``new``."""
    module = sys.modules[type(estimator).__module__]
    sampler = sys.modules[type(getattr(estimator, "sampler", estimator)).__module__]
    if old in inspect.getsource(sampler):  # of a pathwise estimator it is the sampler
        module = sampler
    source = inspect.getsource(module)
    found = source.count(old)
    if found != 1:
        raise ValueError(f"{module.__name__} has {old!r} {found} times, not once: edit the mutant")
    copy = ModuleType(module.__name__)
    exec(compile(source.replace(old, new), f"{module.__name__} (mutant)", "exec"), vars(copy))
    for part in list(estimator.modules()):  # a baseline or a sampler is a module of its own
        if type(part).__module__ == module.__name__:
            part.__class__ = getattr(copy, type(part).__name__)
    return estimator


def mutant(
    case: str, wrong: str, old: str, new: str, options: dict[str, Any] | None = None
) -> Mutant:
    """A mutant by source: ``case`` is the names of the original, the problem and the bound."""
    original, problem, objective = case.split()

    def make_original() -> Estimator:
        return example(original, options).double().eval()

    def make() -> Estimator:
        return mutate(make_original(), old, new)

    return Mutant(make, make_original, original, problem, objective, wrong)
