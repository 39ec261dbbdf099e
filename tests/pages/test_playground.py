"""The playground's JavaScript against ``vae.estimators``: on the same noise, and in what it claims."""

import math

import pytest
import torch
from browser import opened

from vae.certify.problems import defined
from vae.cli.main import run
from vae.estimators import ESTIMATORS
from vae.pages.playground.agreement import asked, cases, exact_cases, worst_differences
from vae.pages.playground.catalogue import BOUNDS, SHOWN, WEIGHTS, absent, learns, made
from vae.pages.playground.integrands import FAMILIES, INTEGRANDS, problem

TOLERANCE = 1e-6  # of a gradient in float64; the temperature is a float32 in torch


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    target = tmp_path_factory.mktemp("playground") / "playground.html"
    run("playground", "vae playground", ["--output", str(target)])
    return target


@pytest.fixture(scope="module")
def seen(browser, path):
    with opened(browser, path, reduced_motion="reduce") as page:
        yield page


def compared(page, found):
    return worst_differences(found, lambda questions: page.evaluate(ASK, questions))


ASK = "questions => playground.replay(questions)"


@pytest.fixture(scope="module")
def agreement(seen):
    """Of every estimator, family, bound and integrand: two variables, three samples, one temperature."""
    chosen = list(cases((2,), (3,), temperatures=(0.4,)))
    assert {c.estimator for c in chosen} == set(SHOWN)
    return compared(seen, [asked(c) for c in chosen])


@pytest.mark.parametrize("name", SHOWN)
def test_javascript_is_the_librarys_estimator_on_the_same_noise(name, agreement):
    own = {family: size for (shown, family), size in agreement.items() if shown == name}
    assert own and max(own.values()) < TOLERANCE, own


def test_the_exact_gradient_is_the_certified_one(seen):
    chosen = [c for c in exact_cases((1, 2), (1, 2)) if c.K * c.D < 4]
    found = compared(seen, [asked(c) for c in chosen])
    assert len(found) == 3 and max(found.values()) < TOLERANCE, found


@pytest.mark.slow
def test_all_numbers_of_variables_samples_and_temperatures(seen):
    found = [asked(c, seed=1) for c in (*cases(temperatures=(0.3, 2.0)), *exact_cases())]
    assert max(compared(seen, found).values()) < TOLERANCE


def test_the_pages_own_noise_has_its_moments(seen):
    """Means of 1e5 numbers, random but for the seed: ten z-tests, a false-alarm rate of 1e-6."""
    powers = {
        "uniform": {1: (1 / 2, 1 / 12), 2: (1 / 3, 4 / 45)},
        "exponential": {1: (1, 1), 2: (2, 20)},
        "normal": {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)},
    }  # of each power, the mean and the variance
    n = 100_000
    for kind, moments in powers.items():
        found = seen.evaluate(
            """([kind, n]) => {
            const x = playground.noise(7)[kind](n), power = k => x.reduce((s, v) => s + v ** k, 0) / n;
            return [1, 2, 3, 4].map(power);
        }""",
            [kind, n],
        )
        for power, (mean, variance) in moments.items():
            z = (found[power - 1] - mean) / math.sqrt(variance / n)
            assert abs(z) < 5.4, (kind, power, z)


def test_each_estimator_of_the_library_is_there_or_the_page_says_why_not(seen):
    missing = absent()
    assert set(ESTIMATORS) == {*SHOWN, *missing} and not set(SHOWN) & set(missing)
    lines = seen.locator("#absent li").all_text_contents()
    assert [line.split(":")[0] for line in lines] == list(missing)
    assert "estimators of your own" in seen.locator("details:has(#absent)").text_content()


def test_those_that_learn_start_where_the_librarys_do(seen):
    starts = seen.evaluate("() => playground.starts('categorical', 2)")
    assert set(starts) == {name for name in SHOWN if learns(name)}
    for name, start in starts.items():
        own = dict(made(name, 0.5).named_parameters())
        scalars = [p for p in own.values() if not isinstance(p, torch.nn.UninitializedParameter)]
        first = torch.cat(
            [p.detach().flatten() for p in scalars if p.dim() < 2 and "net" not in name]
        )
        if name in ("rebar", "double_cv"):
            assert start == pytest.approx(first.tolist())
        if name == "relax":
            assert start[:2] == pytest.approx(first[:2].tolist())
        if name == "rodeo":
            assert start[:2] == [1, 0.5] and start[-22:] == [0] * 22


@pytest.fixture(scope="module")
def claims(seen):
    """By family, bound and f: of each estimator the page's label, and its z-scores by own noise."""
    settings = [
        (f, b, i)
        for f in FAMILIES
        for b in BOUNDS
        for i in INTEGRANDS
        if i == "likelihood" or f == "bernoulli" or (b == "average" and i != "step")
    ]
    found = seen.evaluate(
        """settings => settings.map(([family, bound, integrand]) =>
            playground.claims({ family, bound, integrand, D: 2, K: 2, learning: true },
                              integrand === "likelihood" ? 1000 : 300))""",
        settings,
    )
    return dict(zip(settings, found, strict=True))


def test_what_is_called_unbiased_is_so_with_the_pages_own_noise(claims):
    """Random but for its seed; 1,000 z-tests, of a false-alarm rate of 2e-6 together."""
    limit = 6.0  # two-sided, 2e-9 each
    for setting, found in claims.items():
        for name, claim, scores in found:
            if claim != "biased":
                assert all(abs(z) < limit for z in scores), (setting, name, claim, scores)


def test_what_is_called_biased_is_so_somewhere(claims):
    largest = {}
    for found in claims.values():
        for name, claim, scores in found:
            if claim == "biased":
                largest[name] = max(map(abs, [*scores, largest.get(name, 0)]))
    assert min(largest.values()) > 4.5, largest


def test_labels_are_the_librarys_claims(claims):
    for (family, bound, integrand), found in claims.items():
        here = problem(
            family, 2, [integrand], [torch.zeros(s) for s in FAMILIES[family].shapes(2).values()]
        )
        objective = BOUNDS[bound](num_samples=2)
        holds_log_q = INTEGRANDS[integrand].weights(family, 2).get("minus_log_q", False)
        claimed = [
            name
            for name in SHOWN
            if defined(made(name), here, objective) and (holds_log_q or name not in WEIGHTS)
        ]
        assert [name for name, *_ in found] == claimed
        for name, claim, _ in found:
            known = made(name)
            exact = {"linear": ["linear"], "quadratic": ["linear", "quadratic"]}
            here_exact = bound == "average" and integrand in exact.get(known.exact_for, [])
            expected = "biased" if known.bias else "unbiased"
            if known.bias and here_exact:
                expected = "unbiased for this f"
            assert claim == expected, (name, claim)


EXTREMES = """([integrands, samples, draws]) => {
    const wrong = [], { families } = playground.data;
    for (const family in families) families[family].parameters.forEach((parameters, i) => {
        for (const integrand of integrands) for (const bound of ["average", "log_mean_exp"]) for (const K of samples)
            for (const temperature of [0.05, 5]) for (const ends of [[0, 0], [1, 1], [0, 1]]) {
                const theta = parameters.map((p, j) => p.range[ends[j % 2]]), changed = { family, D: i + 1, integrand, bound, K, temperature, theta };
                const broken = playground.broken(changed, draws);
                if (broken.length) wrong.push([broken, changed]);
            }
    });
    return wrong;
}"""


def test_at_the_ends_of_all_sliders_everything_is_a_number(seen):
    assert seen.evaluate(EXTREMES, [["likelihood"], [1, 8], 2]) == []


@pytest.mark.slow
def test_at_the_ends_of_all_sliders_with_every_f(seen):
    assert seen.evaluate(EXTREMES, [list(INTEGRANDS), [1, 2, 3, 8], 60]) == []
