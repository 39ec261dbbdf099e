"""How a mutant of the evaluator is made, and how it is told from the original.

A mutant is a copy of a module with one passage of its source replaced. A check is given the copy,
or the original, and says how far its answer is from the true one, in units of what is allowed: below
1 is right. Where the passage is no longer there, making the mutant fails and says so.

A part's mutants stand in a file of their own, ``mutants_of_*.py``, as a dictionary ``MUTANTS``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

Check = Callable[[ModuleType], float]
"""``|error| / allowed`` of what a module answers: below 1 is right. Seeded; within two seconds."""


class Mutant(NamedTuple):
    """What is changed, and what sees it.

    Attributes:
        module: The module's name: ``vae.evaluation.exact``.
        wrong: What is wrong with it, in one line.
        old: The passage, which the module has once.
        new: What takes its place.
        check: What tells it from the original. Its docstring's first line says what is compared
            with what, for the table. It takes all that it needs of the module from its argument.
    """

    module: str
    wrong: str
    old: str
    new: str
    check: Check

    @property
    def compared(self) -> str:
        """What the check compares, in one line."""
        return (self.check.__doc__ or "").strip().splitlines()[0].rstrip(".")

    def ratio(self) -> float:
        """The mutant's error, in units of what is allowed."""
        return float(self.check(mutated(self.module, self.old, self.new)))

    def original_ratio(self) -> float:
        """The original's."""
        return float(self.check(import_module(self.module)))


def mutated(name: str, old: str, new: str) -> ModuleType:
    """A copy of a module with ``old`` replaced by ``new``; the module itself stays as it is.

    Whatever a module does to others when it is imported, as ``register`` of a ``singledispatch``
    does, its copy does too: a mutant of such a module must undo it.

    Raises:
        ValueError: If the module does not have the passage exactly once.
    """
    module = import_module(name)
    source = inspect.getsource(module)
    if (found := source.count(old)) != 1:
        raise ValueError(f"{name} has {old!r} {found} times, not once: edit the mutant")
    copy = ModuleType(name)
    exec(compile(source.replace(old, new), f"{name} (mutant)", "exec"), vars(copy))
    return copy
