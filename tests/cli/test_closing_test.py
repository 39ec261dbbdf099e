"""The test at a run's end: what it says, what it takes, and how log p(x) is left out of it."""

import json
import shlex
import sys
from types import SimpleNamespace

import pytest
import small
import torch
from chaos import DIGITS, rows, run_of

from vae.cli import evaluate, seeds
from vae.cli.app import VAECLI
from vae.cli.train_many import ManyCLI
from vae.data.digits import DigitsDataModule
from vae.training.callbacks.closing_test import ClosingTest, _roughly
from vae.training.callbacks.standard_errors import StandardErrors, with_errors

SHORT = ["--trainer.max_steps", "2", "--image_every", "0", "--model.test_samples"]


def fit(monkeypatch, cli, *words):
    monkeypatch.setattr(sys, "argv", ["vae", "fit", *words])
    cli()


def metrics(run):
    return json.loads((run / "results.json").read_text())["metrics"]


@pytest.mark.e2e
def test_log_likelihood_is_announced_or_left_out(tmp_path, monkeypatch, capsys):
    fit(monkeypatch, VAECLI, *DIGITS, *SHORT, "0")
    run, said = run_of(tmp_path), capsys.readouterr().out
    without = metrics(run)
    assert set(without) == {"test/elbo", "test/rate", "test/distortion"}
    assert not any("log_likelihood" in name for row in rows(run) for name in row)
    (line,) = (line for line in said.splitlines() if line.startswith("log p(x) was not estimated"))
    assert "testing on" not in said and "the test took" in said
    errors = json.loads((run / "results.json").read_text())["standard_errors"]
    assert set(errors) == set(without) and "mean ± standard error over 250 images" in said
    assert f"{without['test/elbo']:.2f} ± {errors['test/elbo']:.2f} │" in said

    words = shlex.split(line.partition("vae evaluate ")[2])  # the command that it names
    evaluate.main(words, "vae evaluate")
    found = json.loads((run / "evaluation-test.json").read_text())["metrics"]
    assert set(found) >= {"elbo", "rate", "distortion", "log_likelihood_100"}
    capsys.readouterr()

    (run / "results.json").unlink()  # as if the test had been cut short
    fit(
        monkeypatch,
        VAECLI,
        "--config",
        str(run / "config.yaml"),
        "--ckpt_path",
        str(run),
        *SHORT,
        "3",
    )
    assert metrics(run).items() >= without.items() and "test/log_likelihood_3" in metrics(run)
    said = capsys.readouterr().out.splitlines()
    (announced,) = (n for n, line in enumerate(said) if line.startswith("testing on 250 images"))
    assert "K = 3 samples" in said[announced] and "less than a second" in said[announced]
    assert announced < min(n for n, line in enumerate(said) if line.startswith("test set"))
    results = json.loads((run / "results.json").read_text())
    assert any(f"; the test took {results['test_seconds']:.1f} s" in line for line in said)


@pytest.mark.e2e
def test_many_at_once_take_no_samples_too(tmp_path, monkeypatch, capsys):
    fit(monkeypatch, ManyCLI, *DIGITS, *SHORT, "0", "--seeds", "2")
    (group,) = tmp_path.glob("*-x2-*")
    (variant,) = json.loads((group / "summary.json").read_text())["variants"].values()
    for path in tmp_path.glob("*/results.json"):
        results = json.loads(path.read_text())
        errors = results["standard_errors"]
        assert results["images"] == 250 and set(errors) == set(results["metrics"]) - {"epoch"}
        assert (
            0 < errors["test/rate"] < errors["test/elbo"] < -results["metrics"]["test/elbo"] / 10
        )
    names = {name for name in variant if "/" in name}
    assert names == {"test/elbo", "test/rate", "test/distortion"}
    assert "log p(x) was not estimated" in capsys.readouterr().out


def test_a_study_sums_up_runs_of_different_K(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    for label, name in (
        ("a", None),
        ("b", "test/log_likelihood_5"),
        ("c", "test/log_likelihood_9"),
    ):
        run = tmp_path / f"20260101-000000-{label}-seed0-00aa"
        run.mkdir()
        found = {"test/elbo": -2.0} | ({name: -1.0} if name else {})
        held = {"metrics": found, "steps": 1, "seconds": 1.0, "binarization": None}
        (run / "results.json").write_text(json.dumps(held))
        record = {"hardware": "x", "torch": "y", "git": None}
        (run / "run.json").write_text(json.dumps(record))
    variants, settings = {"a": {}, "b": {}, "c": {}}, {"config": "x", "options": {}}
    summary = seeds.summarize(
        tmp_path, "s", settings, variants, range(1), tmp_path / "summary.json"
    )
    found = [row["test/log_likelihood_5"]["values"] for row in summary["variants"].values()]
    assert found == [[None], [-1.0], [None]]
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("│ c "))
    assert [cell.strip() for cell in row.split("│")][2:5] == ["-2.00", "-", "-1.00"]


def test_the_announcement_draws_nothing(tmp_path, monkeypatch, capsys):
    """The generators are where they would be without it."""
    states = []
    for callbacks in ([], [ClosingTest(), errors := StandardErrors()]):
        torch.manual_seed(0)
        module = small.MODULES["gaussian"]()
        trainer = small.fit(module, tmp_path, steps=1, callbacks=callbacks)
        trainer.test(module, DigitsDataModule(), verbose=False)
        states.append(torch.get_rng_state())
    assert torch.equal(*states) and "K = 4 samples" in capsys.readouterr().out
    data = DigitsDataModule()
    data.setup()
    x = torch.cat(list(data.loader("test")))
    rates = module.vae.kl(module.vae.posterior(x)).detach()  # in closed form: without noise
    se = errors.found["standard_errors"]["test/rate"]
    assert errors.found["images"] == len(rates) and se == pytest.approx(
        float(rates.std() / len(rates) ** 0.5), abs=1e-4
    )


def test_of_one_image_or_a_model_that_diverged_there_is_no_standard_error():
    held = with_errors({"a": torch.tensor([1.0]), "b": torch.tensor([1.0])})
    assert held == {"standard_errors": {}, "images": 1} and with_errors({}) == {}
    held = with_errors({"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([1.0, torch.nan])})
    assert held == {"standard_errors": {"a": 1.0}, "images": 2}


def test_what_a_test_step_of_ones_own_returns_for_a_batch_is_of_no_image():
    errors = StandardErrors()
    outputs = {"loss": torch.tensor(2.0), "name": "a", "own": torch.tensor([1.0, 3.0])}
    errors.on_test_batch_end(None, None, outputs, None, 0)
    errors.on_test_epoch_end(SimpleNamespace(world_size=1), None)
    assert errors.found == {"standard_errors": {"own": 1.0}, "images": 2}


@pytest.mark.parametrize(
    "seconds, words",
    [(0.3, "less than a second"), (1.4, "a second"), (9.6, "about 10 s"), (150, "about 2 min")],
)
def test_times_in_words(seconds, words):
    assert _roughly(seconds) == words
    assert _roughly(7 * 3600 + 1) == "about 7 h"
