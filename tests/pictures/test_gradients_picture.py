"""The picture of the gradient report: its order, its marks, its words."""

import math

import pytest

from vae.analysis import gradient_words
from vae.cli import gradients_table
from vae.pictures.gradients import BIASED, GREY, UNBIASED, draw, has_bias, ordered
from vae.pictures.style import save


def row(label, variance, bias=None, bias_squared=0.0, bias_error=0.1, **others):
    found = {"label": label, "variance": variance, "bias": bias, "bias_squared": bias_squared}
    found |= {"bias_error": bias_error, "snr": 0.5, "evaluations": 4.0, "milliseconds": 1.0}
    return found | others


ROWS = [
    row("biased, seen", 0.2, "of a relaxation", 3.0),
    row("noisy", 50.0, bias_squared=-0.3, bias_error=0.2, snr=0.0),
    row("biased, unseen", 0.1, "of a relaxation", 0.15),
    row("exact", 0.0, bias_error=0.0, snr=math.inf),
    row("quiet", 1.0),
]
ABOUT = {
    **{"model": "3 binary variables", "data": "Digits (static binarisation)", "objective": "elbo"},
    "bounds": "a lower bound of log p(x)",
    **{"analytic_kl": True, "beta": 1.0, "num_samples": 4, "match_evaluations": None},
    **{"images": 16, "split": "test", "replicates": 1000, "truth": "enumeration"},
    **{"training": "RLOO", "step": 19550},
}


def test_unbiased_ones_come_first_each_kind_by_its_variance():
    found = [each["label"] for each in ordered(ROWS)]
    assert found == ["exact", "quiet", "noisy", "biased, unseen", "biased, seen"]


def test_a_bias_is_seen_from_two_standard_errors_on():
    assert [has_bias(each) for each in ROWS] == [True, False, False, False, False]


def test_every_row_has_its_marks_in_its_colour():
    axes, *others = draw(ROWS, "title", "how").axes
    labels = {t.get_text(): t.get_color() for t in axes.get_yticklabels()}
    assert list(labels) == [each["label"] for each in ordered(ROWS)]
    assert [labels[each["label"]] for each in ROWS] == [
        *(BIASED, UNBIASED, BIASED, UNBIASED, UNBIASED)
    ]
    top, bottom = axes.get_ylim()
    assert top > bottom  # the first row above
    marks = [(l.get_marker(), l.get_xdata()[0], l.get_color()) for l in axes.lines]
    assert ("x", 3.0, BIASED) in marks and ("o", 50.0, UNBIASED) in marks
    # of what is not seen, how large it can be at most: two standard errors above what was found
    unseen = sorted(x for mark, x, color in marks if mark == "$<$" and color == GREY)
    assert unseen == pytest.approx([0.2, 0.35, 0.4])
    assert [text.get_text() for text in axes.texts] == ["0"]  # the exact one's variance
    assert [text.get_text() for text in others[0].texts] == ["∞", "0"]


def test_the_picture_says_in_words_what_it_is(tmp_path):
    title, how = gradient_words.titles(ABOUT)
    assert title == "Gradient estimators: 3 binary variables, Digits (static binarisation)"
    assert how == (
        "ELBO with closed-form KL, K = 4; 16 test images, 1,000 gradients each; truth: enumeration;"
        " trained by RLOO for 19,550 steps"
    )
    matched = ABOUT | {"match_evaluations": 8, "beta": 2.0, "analytic_kl": False, "step": None}
    assert gradient_words.titles(matched)[1].startswith(
        "ELBO with Monte-Carlo KL, β = 2, 8 decoder evaluations each; 16 test images"
    )
    figure = draw(ROWS, title, how)
    words = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    assert words == f"{title} {how}"
    save(figure, tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")


def test_nothing_of_the_picture_lies_on_anything_else():
    long = ABOUT | {"training": "EstimatorSchedule(" + "Pathwise(ReinMax), " * 8 + ")"}
    figure = draw(ROWS * 6, *gradient_words.titles(long))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    words = [text.get_window_extent(renderer) for text in figure.texts]
    axes = [each.get_tightbbox(renderer) for each in figure.axes]
    for i, one in enumerate(words):
        assert all(not one.overlaps(other) for other in [*words[:i], *axes])
        assert one.x1 <= figure.bbox.x1
    assert all(not one.overlaps(other) for i, one in enumerate(axes) for other in axes[:i])


def test_the_table_marks_the_unbiased_and_says_what_the_columns_mean(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "160")
    numbers = dict.fromkeys(
        ("dsnr", "cosine", "encoder_variance", "encoder_snr", "encoder_cosine", "megabytes"), 0.1
    )
    rows = [each | numbers | {"num_samples": 4} for each in ROWS]
    gradients_table.write(tmp_path / "g", ABOUT, rows, pdf=False)
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("│")]
    assert [line.split("│")[1].strip() for line in lines] == ["✓", "✓", "✓", "", ""]
    assert "-0.3 ± 0.2" in lines[2] and "3 ± 0.1" in lines[4]
    for word in ("bias²:", "a negative one is a 0", "SNR:", "DSNR:", "✓ unbiased"):
        assert word in said
    assert {path.name for path in tmp_path.iterdir()} == {"g.json", "g.csv", "g.png"}
    gradients_table.write(tmp_path / "g", ABOUT, rows, pdf=True)
    assert (tmp_path / "g.pdf").exists() and "g.json, .csv, .png, .pdf" in capsys.readouterr().out


@pytest.mark.parametrize("most", [4.4, 5.0, 8.8, 20.0, 90.0, 700.0])
def test_numbers_on_the_axes_do_not_touch(most):
    rows = [row("a", 1.0, milliseconds=4.0), row("b", 1.0, milliseconds=most)]
    figure = draw(rows, "title", "how")
    figure.canvas.draw()
    axis = figure.axes[-1]
    low, high = axis.get_xlim()
    ticks = [t for t in axis.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
    boxes = [t.label1.get_window_extent() for t in ticks if t.label1.get_text()]
    boxes.sort(key=lambda box: box.x0)
    assert len(boxes) >= 2
    assert all(one.x1 + 2 < other.x0 for one, other in zip(boxes, boxes[1:], strict=False))
