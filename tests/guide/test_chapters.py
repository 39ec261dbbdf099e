"""The guide's chapters are true: their claims are assertions in their own cells."""

import re

import pytest
from chapters import CELL, CHAPTERS, cells, few_gradients, run

import vae

# torch's, of a tensor that matplotlib hands to the newest NumPy
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def _few_gradients():
    with few_gradients():
        yield


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_holds_with_few_gradients(name, capsys):
    ends, _ = run(CHAPTERS[name])
    drawn = [end for end in ends if type(end).__name__ == "Drawn"]
    assert drawn, "a chapter shows something"
    assert all(len(figure.says) > 20 for figure in drawn), "a figure says what is to be seen"


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_asserts_what_it_says_and_points_on(name):
    page = CHAPTERS[name].read_text(encoding="utf-8")
    assert sum(code.count("assert") for code in cells(CHAPTERS[name])) >= 3
    assert "## In this library" in page


@pytest.mark.parametrize("name", CHAPTERS)
def test_how_many_were_drawn_is_what_the_code_draws(name):
    page, code, N = (
        CHAPTERS[name].read_text(encoding="utf-8"),
        "".join(cells(CHAPTERS[name])),
        20_000,
    )
    drawn = {N, *(N // int(k) for k in re.findall(r"\bN // (\d+)", code))}
    drawn |= {int(k) * N for k in re.findall(r"(\d+) \* N\b", code)}
    drawn |= {int(number) for number in re.findall(r"\b\d+_\d{3}\b", code)}
    said = re.findall(r"(\d{1,3},\d{3})[ \n](?!steps)", CELL.sub("", page))
    assert {int(number.replace(",", "")) for number in said} <= drawn


class _OwnSampleToo(vae.Baseline):
    min_samples = 2

    def forward(self, f, context):
        return f.mean(0).expand_as(f), 0.0


def test_a_baseline_of_its_own_sample_fails_its_chapter(monkeypatch, capsys):
    monkeypatch.setattr(vae, "LeaveOneOut", _OwnSampleToo)
    with pytest.raises(AssertionError):
        run(CHAPTERS["03-baselines"])


def test_a_score_function_of_the_wrong_sign_fails_its_chapter(monkeypatch, capsys):
    honest = vae.ScoreFunction.estimate

    def wrong(self, q, f, objective, context):
        return honest(self, q, lambda z, q: -f(z, q), objective, context)

    monkeypatch.setattr(vae.ScoreFunction, "estimate", wrong)
    with pytest.raises(AssertionError):
        run(CHAPTERS["02-score-function"])


def test_a_sticking_the_landing_that_keeps_the_score_fails_its_chapter(monkeypatch, capsys):
    monkeypatch.setattr(vae.StickingTheLanding, "estimate", vae.Pathwise().estimate)
    with pytest.raises(AssertionError):
        run(CHAPTERS["04-pathwise"])


@pytest.mark.parametrize(
    ("chapter", "name", "mutant"),
    [
        ("06-straight-through", "ReinMax.forward", vae.StraightThrough.forward),
        ("08-coupled-samples", "DisARM.couple", vae.ARM.couple),
        ("09-multi-sample", "DoublyReparameterized.estimate", vae.Pathwise().estimate),
        ("10-which", "ReinMax.bias", None),
    ],
)
def test_an_estimator_that_is_another_fails_its_chapter(
    chapter, name, mutant, monkeypatch, capsys
):
    owner, attribute = name.split(".")
    monkeypatch.setattr(getattr(vae, owner), attribute, mutant)
    with pytest.raises(AssertionError):
        run(CHAPTERS[chapter])


def test_a_control_variate_of_another_mean_fails_its_chapter(monkeypatch, capsys):
    forgets = lambda p, perturbed: perturbed  # the derivative of the noise given the hard sample
    monkeypatch.setattr("vae.estimators.relaxed.condition", forgets)
    with pytest.raises(AssertionError):
        run(CHAPTERS["07-control-variates"])


def test_a_temperature_that_is_ignored_fails_its_chapter(monkeypatch, capsys):
    honest = vae.GumbelSoftmax.forward

    def wrong(self, q, sample_shape):
        self.temperature.fill_(1.0)
        return honest(self, q, sample_shape)

    monkeypatch.setattr(vae.GumbelSoftmax, "forward", wrong)
    with pytest.raises(AssertionError):
        run(CHAPTERS["05-gumbel"])
