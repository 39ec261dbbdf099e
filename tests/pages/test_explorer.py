"""The explorer: what it shows of a model is what torch computes, and it is moved by hand."""

import re

import pytest
import torch
from browser import DESKTOP, PHONE, fits, names_missing, opened
from combining import composed, images

from vae.pages.explorer import explorer, gather
from vae.pages.explorer.centering import centre_of_mass
from vae.pages.explorer.gather import Images, relaxation
from vae.pages.explorer.size import advice
from vae.whole_files import replace_text

MODELS = {
    "gaussian": lambda: composed("gaussian", None, "bernoulli"),
    "one_hot": lambda: composed("one_hot", None, "bernoulli", estimator="gumbel_softmax"),
    "gaussian_layers": lambda: composed("gaussian_layers", None, "bernoulli"),
}


def held_of(model, count=6, **options):
    x = images("binary")
    found = Images(x[:count], torch.arange(count), [x], "test images") if count else None
    return gather(model.eval(), "small", "dynamic", found, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """``made("gaussian")``: a model, and the page of it."""
    folder, models = tmp_path_factory.mktemp("explorer"), {}

    def one(name):
        if name not in models:
            model = MODELS[name]()
            replace_text(folder / f"{name}.html", explorer(held_of(model)))
            models[name] = model.vae.hard
        return models[name], folder / f"{name}.html"

    return one


@pytest.fixture
def explored(browser, made):
    """``with explored("gaussian") as (vae, page)``; fails on what the console says."""
    from contextlib import contextmanager

    @contextmanager
    def one(name, *arguments, **options):
        vae, path = made(name)
        with opened(browser, path, *arguments, **options) as page:
            yield vae, page

    return one


GREY = """(selector) => [...document.querySelectorAll(selector)].map((shown) => {
    const copy = document.createElement("canvas"), {width, height} = shown;
    [copy.width, copy.height] = [width, height];
    const context = copy.getContext("2d", {willReadFrequently: true}); // else Chromium complains
    context.drawImage(shown, 0, 0);
    return [...context.getImageData(0, 0, width, height).data].filter((_, i) => i % 4 === 0);
})"""


def shown(page, selector="#decoded"):
    """Grey levels from 0 to 255 of canvases, ``(N, P)``; of one, ``(P)``."""
    return torch.tensor(page.evaluate(GREY, selector)).squeeze(0)


def code(page):
    return torch.tensor(page.evaluate("[...explorer.state.get('z')]"), dtype=torch.float32)


def drag(page, canvas, *points):
    page.locator(canvas).scroll_into_view_if_needed()
    box = page.locator(canvas).bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


@torch.no_grad()
def test_a_drag_changes_the_pixels_to_those_of_torch(explored):
    with explored("gaussian") as (vae, page):
        before = shown(page)
        drag(page, "#plane", (0.5, 0.5), (0.7, 0.4), (0.9, 0.1))
        z, across = code(page), page.evaluate("explorer.state.get('dims')")
        assert torch.allclose(z[across], torch.tensor([2.4, 2.4]), atol=0.05)  # of +- 3
        assert not torch.equal(shown(page), before)
        exact = vae.decode(z[None]).mean.flatten()
        decoded = torch.tensor(
            page.evaluate("[...explorer.model.decode(explorer.state.get('z'))]")
        )
        assert (decoded - exact).abs().max() < 1e-3
        assert (shown(page) - 255 * exact).abs().max() < 1
        page.locator("#plane").press("ArrowLeft")
        page.locator("#plane").press("ArrowUp")
        moved = code(page)
        assert moved[across[0]] < z[across[0]] and moved[across[1]] > z[across[1]]
        assert not torch.equal(shown(page), (255 * exact).round())
        page.wait_for_selector("#plane[data-whole]")
        assert shown(page, "#ground").float().std() > 0  # the manifold


@torch.no_grad()
def test_sliders_buttons_and_the_plane_agree(explored):
    with explored("gaussian") as (vae, page):
        slider = page.locator("#sliders input").nth(2)
        index = page.evaluate("explorer.state.get('order')[2]")
        slider.press("ArrowRight")
        slider.press("PageUp")
        page.get_by_role("button", name="Zero").click()
        assert not code(page).any() and slider.input_value() == "0"
        slider.press("ArrowRight")
        assert code(page)[index] == pytest.approx(0.03, abs=1e-6)
        page.locator("#across").select_option(str(index))
        assert page.evaluate("explorer.state.get('dims')")[0] == index
        page.get_by_role("button", name="Random").click()
        assert code(page).abs().min() > 0
        page.get_by_role("button", name="Reset").click()
        assert torch.allclose(code(page), vae.posterior(images("binary")[:1]).mean[0], atol=1e-3)


@torch.no_grad()
def test_a_drawing_changes_q(explored):
    with explored("gaussian") as (vae, page):
        kl = page.locator("#kl-sum").inner_text()
        before = shown(page)
        drag(page, "#draw", (0.3, 0.2), (0.7, 0.2), (0.4, 0.8))
        page.locator("#image-name", has_text="your drawing").wait_for()
        assert page.locator("#kl-sum").inner_text() != kl and not torch.equal(shown(page), before)
        ink = page.evaluate("[...explorer.state.get('image').pixels]")
        assert 0 < sum(ink) < len(ink)
        page.get_by_role("button", name="Clear").click()
        assert page.locator("#no-image").is_visible()
        page.get_by_role("button", name="test image 2, class 2").press("Enter")
        (total,) = vae.kl(vae.posterior(images("binary")[2:3]))
        assert f"= {total:.2f} nats" in page.locator("#kl-sum").inner_text()


def centres(x):
    return centre_of_mass([x])


def test_centred_images_are_found():
    """A square that moves by a pixel at most, one that does not, and one that moves far."""
    x = torch.zeros(9, 1, 28, 28)
    for n in range(9):
        x[n, 0, 12 + n // 3 % 2 : 18 + n // 3 % 2, 10:14] = 1
    assert centres(x) == pytest.approx([(15 + 1 / 3) / 28, 12 / 28])
    assert centres(torch.cat([x, x.roll(5, -1)])) is None and centres(x[:1]) is None


def test_a_drawing_is_moved_to_where_all_images_are(browser, tmp_path):
    held = held_of(MODELS["gaussian"]()) | {"centre": [0.5, 0.5]}
    replace_text(tmp_path / "page.html", explorer(held))
    with opened(browser, tmp_path / "page.html") as page:
        drag(page, "#draw", (0.2, 0.2), (0.2, 0.5))
        page.locator("#image-name", has_text="your drawing").wait_for()
        page.wait_for_timeout(50)  # a frame
        pixels = torch.tensor(page.evaluate("[...explorer.state.get('image').pixels]")).view(8, 8)
        ink = shown(page, "#draw").view(8, 8) / 255
        assert centres(ink[None, None].repeat(2, 1, 1, 1))[1] < 0.3
        found = centres(pixels[None, None].repeat(2, 1, 1, 1))
        assert found == pytest.approx([0.5, 0.5], abs=0.5 / 8)
        assert pixels.sum() == pytest.approx(ink.sum().item(), abs=0.05)  # none is lost
        assert page.locator("#centred").is_visible()


@torch.no_grad()
def test_a_cell_of_the_table_switches_its_variable(explored):
    with explored("one_hot") as (vae, page):
        z = code(page).view(3, 4)
        other = (int(z[1].argmax()) + 1) % 4
        page.get_by_role("button", name=f"z2, category {other}").click()
        new = code(page).view(3, 4)
        assert new[1, other] == 1 and torch.equal(new.sum(-1), torch.ones(3))
        assert torch.equal(new[[0, 2]], z[[0, 2]])
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        assert code(page).view(3, 4)[2, other] == 1
        assert (
            shown(page) - 255 * vae.decode(code(page).view(1, 3, 4)).mean.flatten()
        ).abs().max() < 1
        page.locator("#temperature").press("End")  # soft ones are closer to one another
        soft = shown(page, "#soft canvas").float().var(0).sum()
        assert soft < shown(page, "#hard canvas").float().var(0).sum()
        page.get_by_role("button", name="One step of the walk").click()
        assert torch.equal(code(page).view(3, 4).sum(-1), torch.ones(3))


@torch.no_grad()
def test_a_kl_without_closed_form_is_estimated_and_says_so(explored):
    with explored("gaussian_layers") as (vae, page):
        page.locator("#kl-sum[aria-busy=false]").wait_for()
        said = page.locator("#kl-sum").inner_text()
        mean, error = map(float, re.search(r"≈ (\S+) ± (\S+) nats", said).groups())
        assert said.endswith("(Monte Carlo: mean ± standard error of n = 1,000 samples)")
        q = vae.posterior(images("binary")[:1])
        z = q.sample((10_000,))
        exact = (q.log_prob(z) - vae.prior().log_prob(z)).mean()
        assert error > 0 and abs(mean - exact) < 5 * error + 0.01
        assert "has no closed form" in page.locator("#kl-why").inner_text()


@torch.no_grad()
def test_an_upper_layer_generates_the_lower_one(explored):
    with explored("gaussian_layers") as (vae, page):
        page.evaluate(
            "explorer.state.set({z: explorer.model.moved(explorer.state.get('z'), [3], [1.5])})"
        )
        z = code(page)
        above = torch.tensor([z[2], 1.5])
        lower = vae.prior().links[0](above[None]).mean[0]
        assert torch.allclose(z, torch.cat([lower, above]), atol=1e-3)


TABBABLE = """() => [...document.querySelectorAll("button, select, input, a, [tabindex]")]
    .filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility())"""


@pytest.mark.parametrize("name", ["gaussian", "one_hot"])
def test_tab_reaches_everything(explored, name):
    with explored(name) as (_, page):
        count = page.evaluate(f"({TABBABLE})().length")
        page.evaluate(f"globalThis.seen = new Set(); globalThis.tabbable = ({TABBABLE})()")
        for _ in range(count):
            page.keyboard.press("Tab")
            page.evaluate("seen.add(document.activeElement)")
        missed = page.evaluate("tabbable.filter((e) => !seen.has(e)).map((e) => e.outerHTML)")
        assert missed == [] and count > 20


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "viewport, scheme", [(DESKTOP, "dark"), (PHONE, "light")], ids=["desktop", "phone"]
)
def test_it_fits_and_has_names(explored, name, viewport, scheme):
    with explored(name, viewport, scheme) as (_, page):
        assert fits(page) and names_missing(page) == []
        lines = page.evaluate("[...document.querySelectorAll('.key')].map((e) => e.clientHeight)")
        assert all(height < 30 for height in lines)  # a swatch and its words on one line


def test_what_is_said_of_the_temperature():
    """Gumbel-softmax shows soft samples to the decoder, straight-through hard ones."""
    words = {}
    for name in ("gumbel_softmax", "st_gumbel", "rloo"):
        model = composed("one_hot", None, "bernoulli", estimator=name).eval()
        words[name] = relaxation(model, model.vae.hard.posterior(images("binary")[:1]))
    assert "saw soft samples" in words["gumbel_softmax"]["words"]
    assert "saw hard samples" in words["st_gumbel"]["words"] and words["rloo"] is None


SLOW = """async (milliseconds) => {
    const {model, state} = explorer, decode = model.decode.bind(model), frame = () => new Promise(requestAnimationFrame);
    let inFrame = 0, most = 0, all = 0;
    model.decode = (z) => {
        for (const end = performance.now() + milliseconds; performance.now() < end;);
        [inFrame, all] = [inFrame + 1, all + 1];
        most = Math.max(most, inFrame);
        return decode(z);
    };
    document.getElementById("way").dispatchEvent(new Event("change"));
    document.getElementById("plane").dataset.whole = "";
    state.set({dims: [2, 1]});
    state.set({posterior: state.get("posterior")});
    for (let n = 0; n < 40; n += 1) { await frame(); inFrame = 0; }
    return [most, all, document.getElementById("plane").dataset.whole];
}"""


def test_a_slow_decoder_does_not_keep_the_page_from_answering(explored):
    """The plane, the strip and the reconstructions take turns: an image a frame, if one takes long."""
    with explored("gaussian") as (_, page):
        page.wait_for_selector("#plane[data-whole]")
        most, images, whole = page.evaluate(SLOW, 12)
        assert most == 1 and 30 < images <= 41 and whole == ""


def test_no_infinity_and_no_nan_is_shown(explored):
    with explored("one_hot") as (_, page):
        for kl in ("[Infinity, 3e8, 1]", "[NaN, 1, 1]", "[2e-30, 0, -0]"):
            page.evaluate(
                f"explorer.state.set({{kl: {kl}, posterior: explorer.state.get('posterior')}})"
            )
            text = page.inner_text("body") + page.locator("#kl").get_attribute("aria-label")
            assert "Infinity" not in text and "NaN" not in text
            if "3e8" in kl:
                assert "more than 3.4e38 nats" in text and "3.00e8" in text


def test_a_large_page_says_what_makes_it_smaller():
    """Every megabyte that it names is gone where its option is taken, and only a large page speaks."""
    held = held_of(MODELS["gaussian"]())
    size = len(explorer(held))
    assert advice(held, size, size) is None
    said = advice(held, size, 1000)
    assert re.search(
        r"^larger than 0.0 MB: .* the encoder \(--encoder false leaves it out\)", said
    )
    assert "MB the decoder (only a smaller model" in said
    few = size - len(explorer(held_of(MODELS["gaussian"](), encoder=False)))
    (encoder,) = re.findall(r"([\d.]+) MB the encoder", said)
    assert float(encoder) * 1e6 == pytest.approx(few, abs=6000)  # two digits, and some words
    assert "32 bits" not in said
    held["encoder"]["wide"] = True
    assert "leaves it out), with weights of 32 bits, 0." in advice(held, size, 1000)
    many = held_of(MODELS["gaussian"](), 64)
    assert "the 64 images to choose from (--images takes fewer)" in advice(many, size, 1000)


def test_without_images_or_encoder_it_says_so(browser, tmp_path):
    held = held_of(MODELS["gaussian"](), 0, encoder=False, why_no_images="there are none")
    replace_text(tmp_path / "page.html", explorer(held))
    with opened(browser, tmp_path / "page.html") as page:
        assert page.locator("#no-encoder").inner_text().endswith("(--encoder false).")
        assert (
            page.locator("#encoding").count() == 0 and page.locator("#strip canvas").count() == 9
        )
