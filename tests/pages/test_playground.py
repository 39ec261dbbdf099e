"""The playground: its JavaScript against ``vae.estimators`` on the same noise, and the page that shows it."""

import math

import pytest
from browser import DESKTOP, PHONE, fits, names_missing, opened

from vae.cli.main import run
from vae.pages.playground.agreement import asked, cases, exact_cases, worst_differences
from vae.pages.playground.catalogue import SHOWN, made

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


def test_unbiased_ones_are_so_with_the_pages_own_noise(seen):
    """Random but for its seed; about 150 z-tests, of a false-alarm rate of 1e-6 together."""
    found = seen.evaluate("""() => ["bernoulli", "categorical", "gaussian"].flatMap(family => {
        const before = playground.settings(), unbiased = [];
        for (const e of playground.data.estimators) if (!e.bias && e.families.includes(family) && e.name !== "enumerate")
            for (const bound of e.bounds) unbiased.push([e.name, bound]);
        return unbiased.map(([name, bound]) => [name, ...playground.zScores(name, { family, bound }, 1500)]);
    })""")
    assert {name for name, *_ in found} == {
        name for name in SHOWN if made(name).bias is None and name != "enumerate"
    }
    limit = 6.0  # two-sided, 2e-9 each
    assert all(abs(z) < limit for _, *scores in found for z in scores), found


def at_start(page):
    """Standard deviation and bias of what the page opens with, after 4,000 estimates of each."""
    return page.evaluate("""() => {
        playground.run().advance(4000);
        return Object.fromEntries([...playground.run().tallies].map(([name, t]) => [name, playground.spread(t)]));
    }""")


def test_what_it_opens_with_shows_what_it_is_for(browser, path):
    with opened(browser, path, reduced_motion="reduce") as page:
        found = at_start(page)
        curves = page.evaluate(
            """() => [0.2, 1, 5].map(T => playground.at(T, "gumbel_softmax", 2000))"""
        )
    sd = {name: one["sd"] for name, one in found.items()}
    bias = {name: one["bias"] for name, one in found.items()}
    narrow = [sd[name] for name in ("rloo", "disarm", "rebar")]
    assert (
        sd["reinforce"] > 2 * max(narrow) and bias["straight_through"] > sd["straight_through"] / 2
    )
    for name in ("reinforce", "rloo", "disarm", "rebar"):
        assert bias[name] < 6 * sd[name] / math.sqrt(4_000)
    cold, mild, hot = curves  # of the Gumbel-softmax: more bias, less variance
    assert cold["bias"] < mild["bias"] < hot["bias"] and cold["sd"] > mild["sd"] > hot["sd"]


def wait(page, condition):
    """Until it is so; the page's content policy does not let Playwright wait by itself."""
    for _ in range(500):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    pytest.fail(f"it did not come to {condition}")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_plays_by_keyboard_and_fits(browser, path, viewport):
    with opened(browser, path, viewport, reduced_motion="reduce") as page:
        assert fits(page) and names_missing(page) == []
        page.wait_for_timeout(50)
        count = "+document.getElementById('count').textContent.replace(',', '')"
        still = page.evaluate(count)
        assert page.get_by_role("button", name="Play").is_visible()  # reduced motion: it waits
        page.get_by_role("button", name="Step").press("Enter")
        assert page.evaluate(count) == still + 1
        pixels = "document.getElementById('clouds').toDataURL()"
        before = page.evaluate(pixels)
        page.get_by_role("button", name="Play").press("Enter")
        wait(page, f"{count} > {still} + 20")
        page.get_by_role("button", name="Pause").press("Space")
        assert page.evaluate(pixels) != before
        page.get_by_role("slider", name="K =").press("ArrowRight")
        assert page.evaluate("playground.settings().K") == 5
        for name in ("logit 1", "logit 2"):
            page.get_by_role("slider", name=name).press("ArrowRight")
        assert [round(v, 2) for v in page.evaluate("playground.settings().theta")] == [
            -0.95,
            -0.95,
        ]
        assert page.get_by_role("checkbox", name="arms", exact=True).is_disabled()  # six at a time
        for name in ("rloo", "arms"):
            page.get_by_role("checkbox", name=name, exact=True).press("Space")
        assert "arms" in page.evaluate("playground.settings().chosen")
        for example in page.locator("#presets button").all():
            example.click()
            assert fits(page)
        page.get_by_role("combobox", name="Up").select_option("-1")  # histograms
        page.get_by_role("combobox", name="How many").select_option("1")


def test_by_itself_it_plays(browser, path):
    with opened(browser, path) as page:
        wait(page, "playground.run().least() > 5")
        assert page.get_by_role("button", name="Pause").get_attribute("aria-pressed") == "true"
