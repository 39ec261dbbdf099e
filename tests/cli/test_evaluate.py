"""``vae evaluate``: parts by their flags, what is kept where one is cut short, and what is replaced."""

import json
import math
import shutil
import sys

import counting_part
import numpy
import pytest
import torch

from vae.cli import evaluate, evaluation_table
from vae.cli.asking import Asking
from vae.cli.evaluation_file import entry, merged
from vae.evaluation import parts
from vae.evaluation.asking import Answered
from vae.evaluation.part import Number
from vae.evaluation.words import in_words


@pytest.fixture
def run(trained_run, tmp_path, monkeypatch):
    monkeypatch.setitem(parts.PARTS, "counting", "counting_part.Counting")
    for name in ("calls", "prepared"):
        monkeypatch.setattr(counting_part.Counting, name, [])
    path = tmp_path / "run"
    shutil.copytree(trained_run("gaussian"), path)
    for old in path.glob("evaluation-*"):
        old.unlink()
    return path


def ask(run, *words, code=0):
    if code:
        with pytest.raises(SystemExit) as ended:
            evaluate.main([str(run), *words], "vae evaluate")
        assert ended.value.code == code
    else:
        evaluate.main([str(run), *words], "vae evaluate")
    return json.loads((run / "evaluation-test.json").read_text())


@pytest.fixture
def loaded(monkeypatch):
    """The state of the global generator once the model is loaded, which draws its first weights."""
    states, make = [], Asking.__init__
    look = lambda self, *args: states.append(torch.get_rng_state()) or make(self, *args)
    monkeypatch.setattr(Asking, "__init__", look)
    return states


def test_a_number_stands_in_the_table_and_in_json_with_all_that_it_is(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    row = ask(run, "--counting", "3", "--seed", "4")["metrics"]["counted_3"]
    said = capsys.readouterr().out
    assert {
        k: row[k] for k in ("unit", "bound", "part", "scale", "images", "seed", "warning")
    } == {
        "unit": "units",
        "bound": "exact",
        "part": "counting",
        "scale": 3,
        "images": 120,
        "seed": 4,
        "warning": "drawn, not counted",
    }
    assert row["se"] > 0 and row["seconds"] >= 0
    (line,) = (line for line in said.splitlines() if "counted_3  !" in line)
    for word in (
        f"{row['mean']:.2f} ± {row['se']:.2f}",
        "units",
        "exact",
        "120",
        "scale 3, of E[z]",
    ):
        assert word in line
    assert "! counted_3: drawn, not counted" in said and "counted by drawing" in said
    assert "seed 4" in said and "elbo" in said and "dynamic binarisation" in said


def test_without_a_flag_it_says_what_else_there_is_and_how_long_that_takes(run, loaded, capsys):
    assert set(ask(run)["metrics"]) >= {"elbo", "rate", "distortion"}
    assert torch.equal(torch.get_rng_state(), loaded[0]), "trials leave the generator alone"
    said = capsys.readouterr().out
    assert "--counting 2 3" in said and "numbers, drawn (120 images, about 10 min)" in said
    assert not counting_part.Counting.calls


def test_on_a_terminal_of_80_columns_no_name_and_no_number_is_cut(run, capsys, monkeypatch):
    for name, value in (("COLUMNS", "80"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    rows = ask(run, "--counting", "--codes")["metrics"]
    said = [line for line in capsys.readouterr().out.splitlines() if line[:1] in "┏┃┡│├└"]
    assert len(said) > len(rows) and max(map(len, said)) <= 80
    assert "…" not in "".join(said)
    for name, row in rows.items():
        (line,) = (line for line in said if line.split()[1:2] == [name])
        assert in_words(row) in line and row["unit"] in line


def test_labels_are_said_in_words(capsys):
    row = {
        "mean": 1.0,
        "se": 0.1,
        "images": 10,
        "K": 50,
        "ess": 2345.6,
        "pareto_k_over_0.7": 0.125,
    }
    evaluation_table.print_evaluation("", {"log_likelihood_50": row | {"listed": [1.0]}})
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "K 50, effective samples 2,346, pareto k > 0.7 in 12.5% of images" in said


def test_the_help_says_which_flag_an_option_belongs_to_and_its_default(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["--help"], "vae evaluate")
    said = " ".join(capsys.readouterr().out.split())
    assert "with --ais: chains of each image (default: 8)" in said
    assert "units: the variance of E_q[z]" in said
    assert "(default: None)" not in said and "only the first so many images (default: 100)" in said


def test_the_output_is_json_by_its_name_too(run, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.json, got .*numbers\.csv"):
        ask(run, "--output", str(tmp_path / "numbers.csv"))
    assert not (tmp_path / "numbers.csv").exists()


def test_what_every_evaluation_says_has_options_too(run):
    found = ask(run)
    assert found["metrics"]["active_units"]["threshold"] == 0.01
    assert any("collapse" in line for line in found["remarks"]["units"])
    strict = ask(run, "--units_threshold", "1e6")["metrics"]["active_units"]
    assert strict["threshold"] == 1e6 and strict["mean"] == 0
    with pytest.raises(ValueError, match="units_threshold must not be negative, got -1"):
        ask(run, "--units_threshold", "-1")


def test_what_is_cut_short_is_kept_and_gone_on_with(run, capsys, monkeypatch):
    whole = ask(run, "--counting")["metrics"]
    shutil.rmtree(run / "evaluation-answers")
    (run / "evaluation-test.json").unlink()
    counting_part.Counting.calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(counting_part.Counting, "stop_at", 60)
        part = ask(run, "--counting", code=130)["metrics"]["counted_2"]
    said = capsys.readouterr()
    assert (part["images"], part["asked"]) == (60, 120)
    assert "60 of 120" in said.out and "the same command goes on with --counting" in said.err
    assert counting_part.Counting.calls == [0, 20, 40]
    found = ask(run, "--counting")["metrics"]
    assert counting_part.Counting.calls == [0, 20, 40, 60, 80, 100]
    for name in ("counted_2", "counted_3"):
        assert {**found[name], "seconds": 0} == {**whole[name], "seconds": 0}
    assert "60 of the 120 images' answers are of an earlier evaluation" in capsys.readouterr().out


@pytest.fixture
def asked(run):
    ask(run, "--counting")
    counting_part.Counting.calls.clear()
    counting_part.Counting.prepared.clear()
    return run


def test_an_answer_is_not_computed_twice(asked):
    before = ask(asked, "--counting")["metrics"]
    assert not counting_part.Counting.calls and not counting_part.Counting.prepared
    assert before["counted_2"]["images"] == 120
    ask(asked, "--counting", "--again")
    assert counting_part.Counting.calls == [0, 20, 40, 60, 80, 100]


def test_fewer_images_are_shown_and_do_not_replace_more(asked, capsys):
    row = ask(asked, "--counting", "--counting_images", "20")["metrics"]["counted_2"]
    assert row["images"] == 120 and not counting_part.Counting.calls
    said = capsys.readouterr().out
    (line,) = (line for line in said.splitlines() if "counted_2 " in line and "exact" in line)
    assert " 20 " in line and " 120 " not in line
    assert "evaluation-test.json keeps counted_2, counted_3 of more images" in said


def test_more_images_begin_where_fewer_ended(asked):
    ask(asked, "--counting", "--counting_images", "150")
    assert counting_part.Counting.calls == [120, 140]
    counting_part.Counting.calls.clear()
    ask(asked, "--counting", "--counting_images", "170")  # 150 were no whole batches
    assert counting_part.Counting.calls == [140, 160]


@pytest.mark.parametrize(
    "words",
    [["--seed", "1"], ["--counting_offset", "1"], ["--batch_size", "10"], ["--split", "val"]],
)
def test_what_an_answer_follows_from_is_its_identity(asked, words):
    ask(asked, "--counting", *words)
    assert counting_part.Counting.calls[0] == 0


def test_other_weights_are_other_answers(asked, trained_run):
    shutil.copy(trained_run("gumbel") / "checkpoints" / "best.ckpt", asked / "checkpoints")
    ask(asked, "--counting")
    assert counting_part.Counting.calls[0] == 0


def test_a_damaged_file_of_answers_is_computed_again(asked):
    (file,) = (asked / "evaluation-answers").glob("test-counting-*.npz")
    for content in (b"", b"no zip", file.read_bytes()[:-40]):
        counting_part.Counting.calls.clear()
        file.write_bytes(content)
        ask(asked, "--counting")
        assert len(counting_part.Counting.calls) == 6


def test_a_later_evaluation_adds_to_the_file_and_takes_nothing_better_away(run):
    ask(run, "--counting", "--elbo_samples", "4")
    found = ask(run)["metrics"]
    assert found["elbo"]["samples"] == 4 and [*found][-2:] == ["counted_2", "counted_3"]
    assert [*found][:3] == [
        "elbo",
        "rate",
        "distortion",
    ]  # a section for each part, in their order
    assert ask(run, "--elbo_samples", "5")["metrics"]["elbo"]["samples"] == 5
    assert ask(run, "--limit", "100")["metrics"]["elbo"]["images"] == 250
    small = json.loads((run / "evaluation-test-100-images.json").read_text())
    assert small["images"] == small["metrics"]["elbo"]["images"] == 100


def test_the_json_names_the_commands_that_made_it(run, monkeypatch):
    for words in ("vae evaluate x", "vae evaluate x --counting", "vae evaluate x"):
        monkeypatch.setattr("sys.argv", words.split())
        found = ask(run, *words.split()[3:])
    assert found["commands"] == ["vae evaluate x", "vae evaluate x --counting"]
    assert found["version"] and found["torch"] == torch.__version__ and "git" in found


def test_an_option_of_a_part_that_is_not_asked_is_refused(run, capsys):
    from vae.cli.errors import one_line_errors

    for words, line in {
        "--counting_offset 2": "--counting_offset changes nothing without --counting",
        "--counting_images 2": "--counting_images changes nothing without --counting",
        "--counting --counting_images 0": "counting_images must be at least 1, got 0",
        "--counting --counting_offset -1": "--counting: an offset must not be negative",
    }.items():
        with pytest.raises(SystemExit) as ended, one_line_errors():
            evaluate.main([str(run), *words.split()], "vae evaluate")
        assert ended.value.code == 2 and capsys.readouterr().err == f"error: {line}\n"
        assert not list(run.glob("evaluation-*"))


def test_every_part_is_asked_by_all_and_those_without_an_answer_are_named(run, loaded, capsys):
    ask(run, "--all", "--limit", "20", "--counting_offset", "-1")
    assert torch.equal(torch.get_rng_state(), loaded[0]), "the caller's generator is left alone"
    assert "left out: --counting: an offset must not be negative" in capsys.readouterr().out


def test_answers_follow_from_the_code_that_gave_them(asked, monkeypatch):
    monkeypatch.setattr("vae.cli.asking._sources", lambda objects: "another file")
    ask(asked, "--counting")
    assert counting_part.Counting.calls[0] == 0


def test_other_images_under_the_same_name_are_other_answers(asked, monkeypatch):
    from vae.data.images.digits import Digits

    load = Digits.load
    monkeypatch.setattr(Digits, "load", lambda self: {n: 255 - x for n, x in load(self).items()})
    ask(asked, "--counting")
    assert counting_part.Counting.calls[0] == 0


def test_a_number_that_is_not_finite_is_null_with_a_warning(run, monkeypatch, capsys):
    monkeypatch.setattr(counting_part.Counting, "kept", {}, raising=False)
    monkeypatch.setattr(
        counting_part.Counting,
        "measure",
        lambda self, subject, x, first: {"drawn": x.new_full((len(x),), -float("inf"))},
    )
    row = ask(run, "--counting", "2")["metrics"]["counted_2"]
    assert row["mean"] is None and row["se"] is None
    assert row["warning"] == "it is -inf, which JSON has no word for"


def test_a_label_that_is_not_finite_is_null_too():
    number = Number("x", 1.0, labels={"ess": math.nan, "gap": math.inf, "K": 5, "by": "nan"})
    row = entry(number, Answered(counting_part.Counting(), {}, 0, 0, 1.0, False), None, 0)
    assert (row["ess"], row["gap"], row["K"], row["by"]) == (None, None, 5, "nan")
    json.dumps(row, allow_nan=False)


def test_what_parts_say_of_log_p_is_compared_on_the_same_images(run, monkeypatch):
    from vae.evaluation.importance import ImportanceWeighted

    found = {}
    read = ImportanceWeighted.log_likelihoods
    monkeypatch.setattr(
        ImportanceWeighted,
        "log_likelihoods",
        lambda self, values: found.update(mine=read(self, values)) or read(self, values),
    )
    monkeypatch.setattr(
        counting_part.Counting, "log_likelihoods", lambda self, values: {"own": values["drawn"]}
    )
    rows = ask(run, "--log_likelihood", "2", "9", "--counting", "2")["metrics"]
    row = rows["own_minus_log_likelihood_9"]
    assert row["images"] == 120 and row["part"] == "counting"
    (file,) = (run / "evaluation-answers").glob("test-counting-*.npz")
    with file.open("rb") as raw, numpy.load(raw) as kept:
        drawn = torch.from_numpy(kept["value drawn"])
    difference = drawn - found["mine"]["log_likelihood_9"][:120]
    assert row["mean"] == pytest.approx(difference.mean().item(), abs=1e-4)
    assert row["se"] == pytest.approx(difference.std().item() / 120**0.5, abs=1e-4)


def test_grey_pixels_under_a_bernoulli_give_cross_entropies_and_no_bounds(run):
    words = ["--data", "DigitsDataModule", "--data.binarization", "none", "--limit", "20"]
    ask_elsewhere = ["--log_likelihood", "3", "--codes", "--output", str(run / "grey.json")]
    evaluate.main([str(run), *words, *ask_elsewhere], "vae evaluate")
    rows = json.loads((run / "grey.json").read_text())["metrics"]
    found = {name: row["bound"] for name, row in rows.items()}
    for name in ("elbo", "distortion", "log_likelihood_3"):
        assert found[name] == "cross-entropy"
    assert found["rate"] == "exact" and found["mutual_information"] == "lower bound"


def test_fewer_temperatures_do_not_replace_more(run):
    few, many = ({"mean": 0.0, "images": 9, "temperatures": t, "part": "ais"} for t in (10, 1000))
    assert merged({"ais": many}, {"ais": few})["ais"] is many
    assert merged({"ais": few}, {"ais": many})["ais"] is many
