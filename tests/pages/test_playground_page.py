"""The playground's page: what its examples say is what they show; any setting shows something; keyboard, phone."""

import math
import re

import pytest
from browser import DESKTOP, PHONE, fits, names_missing, opened

from vae.pages.playground.catalogue import SHOWN, made
from vae.pages.playground.data import playground_data
from vae.pages.playground.page import playground_page

COUNT = 1500


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    target = tmp_path_factory.mktemp("playground") / "playground.html"
    target.write_text(playground_page(), encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def seen(browser, path):
    with opened(browser, path, reduced_motion="reduce") as page:
        yield page


class Example:
    """What an example shows, after some estimates of each."""

    def __init__(self, page, number):
        button = page.locator("#presets button").nth(number)
        button.click()
        self.label, self.note = button.text_content(), page.locator("#note").text_content()
        shown = page.evaluate(
            """count => { playground.run().advance(count); return {
                settings: playground.settings(),
                spread: Object.fromEntries([...playground.run().tallies].map(([name, t]) => [name, playground.spread(t)])),
                costs: Object.fromEntries(playground.data.estimators.map(e => [e.name, e.cost[playground.settings().family]?.[playground.settings().D - 1][playground.settings().K - 1]])) }; }""",
            COUNT,
        )
        self.settings, self.costs = shown["settings"], shown["costs"]
        self.sd = {name: one["sd"] for name, one in shown["spread"].items()}
        self.bias = {name: one["bias"] for name, one in shown["spread"].items()}
        self.chosen = self.settings["chosen"]

    def centred(self, name):
        """Whether the mean is where the exact gradient is, within its error."""
        return self.bias[name] <= 6 * self.sd[name] / math.sqrt(COUNT)

    def displaced(self, name):
        return self.bias[name] > 10 * self.sd[name] / math.sqrt(COUNT)


@pytest.fixture(scope="module")
def examples(seen):
    found = [Example(seen, i) for i in range(seen.locator("#presets button").count())]
    return {one.label: one for one in found}


def test_examples_show_what_is_claimed_of_their_estimators(examples):
    for example in examples.values():
        for name in example.chosen:
            known = made(name)
            exact = known.exact_for == "quadratic" and example.settings["integrand"] == "quadratic"
            if known.bias is None or exact:
                assert example.centred(name), (example.label, name)
            else:
                assert example.displaced(name), (example.label, name)


def test_overview(examples):
    sd = examples["Overview"].sd
    assert sd["reinforce"] > 2 * max(sd["rloo"], sd["disarm"], sd["rebar"])


def test_right_but_wide(examples):
    sd = examples["Right, but wide"].sd
    assert sd["reinforce"] > 2 * max(sd["reinforce_moving_average"], sd["rloo"])


def test_narrow(examples):
    example = examples["Narrow"]
    first, *narrow = example.chosen
    assert all(example.sd[first] > 2 * example.sd[name] for name in narrow)
    dearer = [name for name in narrow if example.costs[name] > example.costs[first]]
    assert len(dearer) > len(narrow) / 2  # "most"
    price = {name: example.sd[name] ** 2 * example.costs[name] for name in example.chosen}
    assert min(price, key=price.get) == "arms"


def test_temperature(seen, examples):
    assert "Temperature" in examples
    curves = seen.evaluate("""() => Object.fromEntries(["gumbel_softmax", "rebar"].map(name => [name,
        [0.2, 1, 5].map(temperature => playground.at({ ...playground.settings(), family: "bernoulli",
            D: 2, theta: [-1, -1], K: 4, bound: "average", integrand: "likelihood", temperature, learning: false }, name, 2000))]))""")
    cold, mild, hot = curves["gumbel_softmax"]
    assert cold["bias"] < mild["bias"] < hot["bias"] and cold["sd"] > mild["sd"] > hot["sd"]
    assert all(one["bias"] < 6 * one["sd"] / math.sqrt(2000) for one in curves["rebar"])


def test_learning(seen, examples):
    """Of each that learns, the cloud before it has, and after: its latest estimates."""
    example = examples["Learning"]
    assert [name for name in example.chosen if next(made(name).parameters(), None) is None] == [
        "rloo"
    ]
    for name in example.chosen[1:]:
        before = seen.evaluate(
            "([settings, name]) => playground.at({ ...settings, learning: false }, name, 1500)",
            [example.settings, name],
        )
        assert example.sd[name] < 0.85 * before["sd"], name


def test_a_weighted_bound(examples):
    example = examples["Weighted bound"]
    assert (
        example.settings["bound"] == "log_mean_exp" and example.settings["family"] == "categorical"
    )
    assert example.sd["vimco"] < example.sd["reinforce"] / 2


def test_gaussian(examples):
    example = examples["Gaussian"]
    assert made("pathwise").needs_gradient and not made("measure_valued").needs_gradient
    assert example.costs["measure_valued"] > 2 * example.costs["pathwise"]


def test_each_example_names_what_it_shows(examples):
    for example in examples.values():
        words = set(re.findall(r"[a-z_0-9]+", example.note))
        assert words & set(SHOWN) <= set(example.chosen), example.label


def content(page):
    """All words of the page, and whether its pictures have something in them."""
    text = page.locator("main").inner_text()
    drawn = page.evaluate("""() => { const c = document.getElementById("clouds");
        const copy = document.createElement("canvas"); // reading it would slow the canvas down
        copy.width = c.width; copy.height = c.height;
        const context = copy.getContext("2d", { willReadFrequently: true });
        context.drawImage(c, 0, 0);
        return context.getImageData(0, 0, c.width, c.height).data.some(v => v); }""")
    return text, drawn


def settings(page):
    return page.evaluate("playground.settings()")


def test_no_setting_is_left_empty(seen):
    """What does not fit a new setting leaves the picture with its reason, and comes back."""
    seen.locator("#presets button").first.click()
    take = "changed => playground.take(changed)"
    seen.evaluate(take, {"bound": "log_mean_exp", "chosen": ["vimco", "ovis"], "K": 3})
    seen.evaluate(take, {"K": 1})
    assert settings(seen)["chosen"] == ["reinforce"]  # the first that fits
    assert "vimco, ovis (needs K of 2 or more)" in seen.locator("#left-out").text_content()
    seen.evaluate(take, {"K": 2})
    assert settings(seen)["chosen"] == ["vimco", "ovis", "reinforce"]
    assert seen.locator("#left-out").text_content() == ""
    seen.evaluate(take, {"family": "bernoulli", "bound": "average", "chosen": ["disarm"]})
    for family in ("gaussian", "categorical"):
        seen.evaluate(take, {"family": family, "D": 3})
        text, drawn = content(seen)
        assert drawn and "disarm (not for" in text
        assert settings(seen)["chosen"]
    seen.evaluate(take, {"chosen": []})
    text, drawn = content(seen)
    assert drawn and "0 of at most 6" in text  # says that none is chosen
    said = text + seen.locator("#clouds").get_attribute("aria-label")
    assert not re.search("NaN|undefined|Infinity|∞", said)


def test_how_the_exact_gradient_was_got_is_said(seen):
    seen.locator("#presets button").first.click()
    nodes = len(playground_data()["quadrature"][1][0]["nodes"])
    for changed, words in {
        (("D", 2),): "sum over all 4 values of z",
        (
            ("family", "categorical"),
            ("bound", "log_mean_exp"),
            ("K", 2),
        ): "9² = 81 draws of 2 values",
        (("family", "gaussian"), ("bound", "average")): f"rule of {nodes} nodes in each of 2",
    }.items():
        seen.evaluate("changed => playground.take(changed)", dict(changed))
        assert words in seen.locator("#f").text_content()


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
