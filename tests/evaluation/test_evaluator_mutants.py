"""The evaluator's tests have power: each mutant is caught, and its original passes the same check."""

import json
import math
from importlib import import_module
from pathlib import Path

import pytest
from evaluator_mutants import FILES, MUTANTS
from evaluator_mutation import mutated

ROOT = Path(__file__).resolve().parents[2]
RESULTS = json.loads((ROOT / "experiments" / "results" / "mutants.json").read_text())


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name):  # and its original is not
    assert MUTANTS[name].original_ratio() < 1
    assert not MUTANTS[name].ratio() < 1  # NaN is caught too


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_says_what_is_wrong_and_what_sees_it(name):
    mutant = MUTANTS[name]
    assert mutant.wrong and mutant.compared and "\n" not in mutant.wrong + mutant.compared


def test_no_two_mutants_have_one_name():
    assert len(MUTANTS) == sum(len(import_module(file).MUTANTS) for file in FILES)


def test_a_mutant_whose_passage_is_gone_says_so():
    with pytest.raises(ValueError, match="has 'no such passage' 0 times, not once"):
        mutated("vae.evaluation.terms", "no such passage", "")


def test_mutating_a_module_leaves_it_alone():
    import vae.evaluation.terms as original

    copy = mutated("vae.evaluation.terms", "-distortion - rate, rate", "-distortion, rate")
    assert copy.elbo_terms is not original.elbo_terms
    assert import_module("vae.evaluation.terms") is original


def test_the_committed_table_lists_these_mutants_as_caught():
    rows = RESULTS["evaluator"]["mutants"]
    assert list(rows) == list(MUTANTS), "run python experiments/mutants.py --of evaluator"
    for name, mutant in MUTANTS.items():
        row = rows[name]
        assert (row["wrong"], row["module"]) == (mutant.wrong, mutant.module)
        assert row["compared"] == mutant.compared
        assert row["original"] < 1 <= (math.inf if row["ratio"] is None else row["ratio"])
