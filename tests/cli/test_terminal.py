"""What is printed fits the terminal, loses no name there, and ends in what to look at next."""

import subprocess
import sys
from pathlib import Path

import pytest

from vae.cli import estimators, gradients_table, parts, summary
from vae.cli.evaluation_table import print_evaluation
from vae.cli.main import VERBS
from vae.cli.next_step import STEPS
from vae.cli.table import print_table
from vae.estimators import ESTIMATORS
from vae.run.seed_statistics import summed_up

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=[40, 60, 80, 200])
def width(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def fitting(text, width):
    wide = [line for line in text.splitlines() if len(line) > width and " " in line.strip()]
    assert wide == []
    return text


def test_estimators_and_parts(width, capsys):
    estimators.show()
    said = fitting(capsys.readouterr().out, width)
    names = {word for line in said.splitlines() for word in line.strip("│┃ ").split()[:1]}
    assert names >= ESTIMATORS.keys() and "…" not in said
    parts.show()
    said = fitting(capsys.readouterr().out, width)
    for section in parts.sections():
        assert all(row[0] in said for row in section.rows)


def test_an_evaluation(width, capsys):
    row = {
        "mean": -98.64,
        "se": 0.25,
        "unit": "nats",
        "bound": "lower bound",
        "images": 10_000,
        "seconds": 3.0,
    }
    rows = {
        "log_likelihood_5000": row | {"part": "a", "K": 5000, "warning": "a long sentence " * 10},
        "total_correlation_of_q": row | {"part": "b", "asked": 20_000, "pareto_k_over_0.7": 0.3},
    }  # fmt: skip
    print_evaluation("test images, dynamic binarisation, seed 0", rows)
    said = fitting(capsys.readouterr().out, width)
    assert all(name in said for name in rows) and said.count("-98.64 ± 0.25") == 2


def test_a_run_and_a_study(width, capsys):
    print_table("test set", {"test/log_likelihood_100": "-98.64"})
    names = ["test/elbo", "test/rate", "test/distortion", "test/log_likelihood_100"]
    values = {"gumbel_softmax": [-100.0, -101.0], "reinforce_moving_average": [-120.0, -122.0]}
    rows = {label: {name: summed_up(values)[label] for name in names} for label in values}
    summary.print_summary("mean ± standard error over 2 seeds, dynamic binarisation", rows, names)
    said = " ".join(fitting(capsys.readouterr().out, width).split())  # a list's lines wrap
    assert all(name in said for name in [*names, *values])
    assert said.count("-121.00 ± 1.00") == 4 and "-20.50 ± 0.50" in said


def test_a_gradient_report(width, capsys, tmp_path):
    row = dict.fromkeys(gradients_table.COLUMNS, 0.123456) | {
        "label": "reinforce_moving_average (tau 0.5)", "bias": None, "bias_error": 0.001,
        "num_samples": 4, "evaluations": 4, "key": "x",
    }  # fmt: skip
    table = gradients_table._table
    if width < 80:  # a list
        gradients_table.print_list(gradients_table.console(), [gradients_table._lines(row)])
        said = " ".join(fitting(capsys.readouterr().out, width).split())
        assert said.startswith("✓ reinforce_moving_average (tau 0.5) bias² ± se 0.123 ± 0.001, ")
        return
    for columns in (gradients_table.NARROW, gradients_table.COLUMNS):
        if columns is gradients_table.NARROW or width > 150:
            gradients_table.console().print(table([row], columns))
            said = fitting(capsys.readouterr().out, width)
            assert "0.123 ± 0.001" in said and "reinforce_moving_average" in said


def test_the_verbs_fit_and_their_steps_exist():
    assert all(len(f"  {verb:<15} {line}") <= 80 for verb, line in VERBS.items())
    assert STEPS.keys() - {"report of several"} <= VERBS.keys()
    assert {step.verb for step in STEPS.values()} <= VERBS.keys()
    text = (ROOT / "Makefile").read_text()
    assert all(f"\n{step.verb}:" in text for step in STEPS.values())


@pytest.mark.e2e
def test_it_is_the_last_line():
    command = [sys.executable, "-m", "vae", "parts", "--format", "markdown"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1].endswith(
        "vae estimators  (what each gradient estimator claims)"
    )
    failed = subprocess.run([*command, "--nonsense"], capture_output=True, text=True, cwd=ROOT)
    assert failed.returncode == 2 and "next:" not in failed.stdout + failed.stderr
