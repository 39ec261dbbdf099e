"""The bias test has power: it rejects every mutant, and passes the original on the same case.

Seeded; each original fails with a probability of 1e-6, were its seed redrawn.
"""

import json
import math
from pathlib import Path

import pytest
from mutant_estimators import MUTANTS
from mutation import mutate

from vae.certify.assertions import assert_unbiased
from vae.certify.polynomials import of_class
from vae.certify.problems import OBJECTIVES, PROBLEMS
from vae.estimators import ESTIMATORS, named

ROOT = Path(__file__).resolve().parents[2]
RESULTS = json.loads((ROOT / "experiments" / "results" / "mutants.json").read_text())
N = 20_000  # as in test_estimators; z is by a factor of 1.6 smaller than in the table


def certify(estimator, mutant):
    problem = of_class(PROBLEMS[mutant.problem], estimator.exact_for)
    assert_unbiased(estimator, problem, OBJECTIVES[mutant.objective], N)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_rejected(name):
    with pytest.raises(AssertionError, match="is biased"):
        certify(MUTANTS[name].make(), MUTANTS[name])


@pytest.mark.parametrize("name", MUTANTS)
def test_the_original_passes(name):
    certify(MUTANTS[name].make_original(), MUTANTS[name])


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_of_an_estimator_that_claims_to_be_unbiased(name):
    original, mutant = MUTANTS[name].make_original(), MUTANTS[name].make()
    assert MUTANTS[name].original in ESTIMATORS
    assert original.bias is None or original.exact_for  # of a class of f
    assert type(original).__name__ == type(mutant).__name__  # one passage apart


def test_a_mutant_whose_passage_is_gone_says_so():
    with pytest.raises(ValueError, match="has 'no such passage' 0 times, not once"):
        mutate(named("reinforce"), "no such passage", "")


def test_mutating_one_leaves_the_class_alone():
    mutant = mutate(named("rloo"), "f.sum(0) - f)", "f.sum(0))")
    assert type(mutant) is not ESTIMATORS["rloo"] is type(named("rloo"))
    assert type(mutant.baseline) is not type(named("rloo").baseline)


def test_the_committed_table_lists_these_mutants_as_caught(monkeypatch):
    rows = RESULTS["mutants"]
    assert list(rows) == list(MUTANTS), "run python experiments/mutants.py"
    for name, mutant in MUTANTS.items():
        row = rows[name]
        assert (row["wrong"], row["original"]) == (mutant.wrong, mutant.original)
        assert (row["problem"], row["objective"]) == (mutant.problem, mutant.objective)
        assert row["original_max_z"] < row["limit"] < (row["max_z"] or math.inf)
        assert row["test"] == f"tests/certify/test_mutants.py::test_a_mutant_is_rejected[{name}]"
    assert RESULTS["replicates"] >= N
    import mutants

    assert all(mutant.wrong in mutants.markdown() for mutant in MUTANTS.values())
