"""Many models at once by one graph: the numbers of the mapped step, or a line that says why not.

Most run the graph as it was traced, operation by operation, and compile nothing.
"""

import math
import sys
from functools import partial

import pytest
import torch
from test_ensemble import CONFIG, FAMILIES, SMALL, data, distance, in_double
from test_ensemble import fit as train

from vae.cli import train_many
from vae.training.many import compiled
from vae.training.many.data import EnsembleData
from vae.training.many.mapped import check_mappable
from vae.training.many.module import Ensemble, seeded
from vae.training.presets import ContinuousVAE, DiscreteVAE, GaussianVAE

pytestmark = pytest.mark.e2e
ONE_HOT = FAMILIES["one_hot"]


@pytest.fixture
def uncompiled(monkeypatch):
    """Graphs that are run as they were traced."""
    monkeypatch.setattr(compiled, "compiled", torch.no_grad)


def together(make, compile, seeds=(3, 8)):
    members, generators = zip(*(seeded(seed, make) for seed in seeds), strict=True)
    return train(Ensemble(members, generators, compile), EnsembleData([data(s) for s in seeds]))


def assert_same(make, tolerance):
    """Of one graph for each size of a batch: weights, buffers and generators of the mapped step."""
    graph, mapped = together(make, True), together(make, False)
    assert len(graph._compiled.graphs) == 2
    for a, b in zip(graph, mapped, strict=True):
        assert distance(a, b) < tolerance
    for a, b in zip(graph._generators, mapped._generators, strict=True):
        assert torch.equal(a.get_state(), b.get_state())


@pytest.mark.parametrize(
    "make",
    [
        FAMILIES["gaussian"],
        partial(FAMILIES["gaussian"], objective="iwae", num_samples=3, estimator="dreg"),
        partial(GaussianVAE, estimator="nvil", gradient_clip_norm=1.0, beta_warmup=4, **SMALL),
        partial(ONE_HOT, anneal_rate=0.2, temperature_min=0.1),
        partial(ONE_HOT, estimator="reinforce_moving_average"),
        partial(ONE_HOT, estimator="relax", objective="iwae", num_samples=2),
        partial(FAMILIES["binary"], estimator="disarm"),
    ],
    ids="pathwise dreg clipped annealed moving-average relax disarm".split(),
)
def test_a_graph_is_the_mapped_step(make, uncompiled, capsys):
    assert_same(in_double(make), 1e-12)
    assert "not compiled" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_compiled_step_is_the_mapped_one_to_rounding():
    assert_same(FAMILIES["gaussian"], 1e-4)
    assert_same(partial(ONE_HOT, estimator="reinforce_moving_average"), 1e-3)


@pytest.mark.parametrize(
    "make",
    [
        partial(FAMILIES["binary"], estimator="reinforce"),
        partial(ContinuousVAE, latent="gamma", **SMALL),
    ],
    ids="bernoulli gamma".split(),
)
def test_draws_that_depend_on_the_model_are_not_compiled_and_a_line_says_so(
    make, uncompiled, capsys
):
    graph = together(make, True)
    said = capsys.readouterr().err
    line = "the step is not compiled, since what is drawn depends on what is computed"
    assert said.count(line) == 1
    for a, b in zip(graph, together(make, False), strict=True):
        assert distance(a, b) == 0


def test_a_graph_with_other_numbers_is_not_used(monkeypatch, capsys):
    def wrong(graph):
        return torch.no_grad()(lambda *tensors: [1.01 * t for t in graph(*tensors)])

    monkeypatch.setattr(compiled, "compiled", wrong)
    graph = together(FAMILIES["gaussian"], True)
    assert "not compiled, since the graph gives other numbers" in capsys.readouterr().err
    for a, b in zip(graph, together(FAMILIES["gaussian"], False), strict=True):
        assert distance(a, b) == 0


def test_a_value_of_python_s_that_changes_makes_another_graph(uncompiled):
    make = in_double(partial(DiscreteVAE, num_variables=3, num_categories=4, **SMALL))
    (member, generator) = seeded(0, make)
    ensemble = Ensemble([member], [generator], True)
    ensemble.configure_optimizers()
    x = torch.rand(1, 5, 1, 8, 8).round()
    for limit in (None, 1e-3, None):
        member.gradient_clip_norm = limit
        gradient, _ = ensemble._gradients(x)
        norm = torch.stack([g.norm() for g in gradient.values()]).norm()
        assert float(norm) == pytest.approx(1e-3, rel=1e-2) if limit else norm > 0.1
    assert len(ensemble._compiled.graphs) == 2


@pytest.mark.parametrize(
    "flags, compiles",
    [
        (["--trainer.max_steps", "5000", "--trainer.max_epochs", "-1"], True),
        (["--trainer.max_steps", "4999", "--trainer.max_epochs", "-1"], False),
        (["--trainer.max_epochs", "239"], True),  # of 21 steps
        (["--trainer.max_epochs", "238"], False),
        (["--trainer.max_epochs", "400", "--trainer.limit_train_batches", "10"], False),
        (["--trainer.max_epochs", "400", "--compile", "false"], False),
        (["--trainer.max_epochs", "1", "--compile", "true"], True),
        (["--trainer.max_epochs", "400", "--trainer.precision", "bf16-mixed"], False),
    ],
)
def test_long_trainings_are_compiled(flags, compiles, monkeypatch):
    class Prepared(train_many.ManyCLI):
        def fit(self, model, datamodule, **kwargs):
            assert model.compiled is compiles

    words = ["--config", str(CONFIG), "--seeds", "1", "--model.hidden", "[8]", *flags]
    monkeypatch.setattr(sys, "argv", ["train_many.py", "fit", *words])
    Prepared()


def test_a_graph_that_gives_nan_is_another():
    one, nan = torch.ones(2), torch.tensor([1.0, math.nan])
    assert not compiled._is_close(nan, one)
    assert compiled._is_close(one, nan) and compiled._is_close(one, one)


def test_a_tensor_that_is_no_buffer_is_refused():
    member, _ = seeded(0, partial(DiscreteVAE, num_variables=3, num_categories=4, **SMALL))
    member.estimator.table = torch.ones(2)
    with pytest.raises(NotImplementedError, match="estimator.table is a tensor, and no buffer"):
        check_mappable(member, torch.rand(2, 1, 8, 8).round())


def test_parts_of_ones_own_are_compiled_only_where_asked(monkeypatch):
    monkeypatch.setattr(GaussianVAE, "__module__", "mine")
    for flags, compiles in ([], False), (["--compile", "true"], True):
        test_long_trainings_are_compiled(
            ["--trainer.max_epochs", "239", *flags], compiles, monkeypatch
        )
