"""All mutants of the evaluator, by name: those of every ``mutants_of_*.py`` beside this file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from evaluator_mutation import Mutant

FILES = sorted(path.stem for path in Path(__file__).parent.glob("mutants_of_*.py"))
MUTANTS: dict[str, Mutant] = {
    name: mutant for file in FILES for name, mutant in import_module(file).MUTANTS.items()
}
