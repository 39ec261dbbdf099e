"""The report of a run: every number is that of a file, and the page is one file that asks for nothing."""

import json
import math
import re
import shutil
from html.parser import HTMLParser

import pytest
from browser import DESKTOP, PHONE, fits, names_missing, opened
from forked import ROOT

from vae.cli.main import run
from vae.evaluation.words import in_words
from vae.pages.report.markup import number, table

GRADIENTS = ROOT / "experiments" / "results" / "gradients-one-hot.json"

EMPTY = ROOT / "experiments" / "results" / "pages" / "report-phone.png"
"""Any picture."""

ROWS = {
    "elbo": {"mean": -31.4159, "se": 0.2718, "unit": "nats", "bound": "lower bound", "samples": 1},
    "rate": {"mean": 9.8765, "se": 0.0123, "unit": "nats", "bound": "exact"},
    "log_likelihood_10": {
        "mean": -29.1234,
        "se": 0.2468,
        "unit": "nats",
        "bound": "lower bound",
        "K": 10,
        "warning": "log p(x) may lie <far> above",
    },
}
EVALUATION = {
    "checkpoint": "checkpoints/best.ckpt",
    "step": 54,
    "split": "test",
    "images": 360,
    "seed": 0,
    "metrics": {
        name: row | {"images": 360, "binarization": "static", "part": "bounds"}
        for name, row in ROWS.items()
    },
    "remarks": {"bounds": ["a remark & more"]},
    "commands": ["vae evaluate x"],
}


class Numbers(HTMLParser):
    """The numbers of a page as their files have them, and the ids of its elements."""

    def __init__(self, text):
        super().__init__()
        self.values, self.ids = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        if "data-value" in own:
            self.values.append(float(own["data-value"]))
        if "id" in own:
            self.ids.append(own["id"])


def numbers_in(content):
    """All numbers in what a JSON file holds."""
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        return {number for one in content for number in numbers_in(one)}
    return {float(content)} if isinstance(content, (int, float)) else set()


@pytest.fixture(scope="module")
def reported(trained_run, tmp_path_factory):
    """A run with an evaluation and a gradient report, and its page; W&B, which has been sent its
    pictures, was only played."""
    folder = tmp_path_factory.mktemp("reported") / "20260101-000000-discrete-0a"
    shutil.copytree(trained_run("discrete"), folder)
    (folder / "evaluation-test.json").write_text(json.dumps(EVALUATION))
    shutil.copy(GRADIENTS, folder / "gradients.json")
    shutil.copy(EMPTY, folder / "gradients.png")
    (folder / "wandb").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        page = Page(folder / "sent")
        patch.setattr("vae.run.wandb_page._log", lambda run, add: add(page) or True)
        run("report", "vae report", [str(folder)])
        shutil.copy(
            EMPTY, folder / "images" / "latent-map.png"
        )  # as if vae latent-map had been run
        run("report", "vae report", [str(folder)])
    return folder


class Page:
    """A run's page in W&B that writes down the names of what it is sent."""

    def __init__(self, file):
        self.file = file

    def log(self, row):
        with self.file.open("a") as file:
            file.write(" ".join(sorted(row)) + "\n")


@pytest.fixture(scope="module")
def together(trained_run, tmp_path_factory):
    """Two configurations, one of them with two seeds, and their page."""
    folder = tmp_path_factory.mktemp("study")
    for name, seed in (("gaussian", 0), ("discrete", 0), ("discrete", 1)):
        target = folder / f"{name}-{seed}"
        shutil.copytree(trained_run(name), target)
        for file, change in (
            ("run.json", {"seed": seed, "id": target.name}),
            ("results.json", {}),
        ):
            content = json.loads((target / file).read_text()) | change
            if file == "results.json" and seed:
                content["metrics"]["test/elbo"] -= 2.0
            (target / file).write_text(json.dumps(content))
    run("report", "vae report", [str(folder)])
    return folder


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def text_of(folder):
    return (folder / "report.html").read_text()


def test_every_number_is_that_of_a_file(reported):
    found = Numbers(text_of(reported))
    files = ("results.json", "evaluation-test.json", "gradients.json")
    known = set().union(*(numbers_in(json.loads((reported / f).read_text())) for f in files))
    assert set(found.values) <= known
    results = json.loads((reported / "results.json").read_text())["metrics"]
    shown = [row["mean"] for row in EVALUATION["metrics"].values()]
    assert {*results.values(), *shown} <= set(found.values)
    text = text_of(reported)
    for row in EVALUATION["metrics"].values():
        assert f'data-value="{row["mean"]!r}">{in_words(row)}<' in text


def test_wandb_has_the_same_pictures_each_of_them_once(reported):
    names = ("code-usage", "curves", "kl", "reconstructions", "samples", "traverse")
    first, second = (reported / "sent").read_text().splitlines()
    assert first.split() == ["gradients/figure", *(f"pictures/{name}" for name in names)]
    assert second == "pictures/latent-map"


def test_the_page_begins_with_labelled_numbers(reported):
    text = text_of(reported)
    first = text[text.index('class="headline"') : text.index("<nav")]
    assert "-31.42 ± 0.27" in first and "-29.12 ± 0.25" in first and "K = 10" in first
    assert "lower bound, 1 sample of z, 360 test images, static binarisation" in first
    assert "may lie &lt;far&gt; above" in first and "a remark &amp; more" in text


def test_it_has_all_parts_once(reported):
    text = text_of(reported)
    titles = re.findall(r"<h2[^>]*>([^<]+)<", text)
    assert titles == [
        *("Reconstructions", "Samples of the prior", "Learning curves", "Traversals"),
        *("KL of each variable", "Use of categories", "Map of the latent space", "More pictures"),
        *("Evaluation", "Gradient estimators", "Configuration", "Provenance"),
    ]
    ids = Numbers(text).ids
    assert len(ids) == len(set(ids)) and text.count("<svg") == 9
    assert "Not shown" not in text and "<style type" not in text
    curves = text[text.index('id="curves"') : text.index('id="traverse"')]  # light or dark
    assert "stroke: var(--c0)" in curves and not re.search("(stroke|fill): #", curves)
    record = json.loads((reported / "run.json").read_text())
    for name in ("git", "torch", "seed", "started", "hardware"):
        assert str(record[name]) in text
    assert f">{record['host']}<" not in text
    changed = text[text.index('<h2 id="configuration') : text.index("All of config.yaml")]
    assert "model.num_variables" in changed and "model.likelihood" not in changed


@pytest.mark.parametrize(
    "viewport, scheme", [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone, dark"]
)
@pytest.mark.parametrize("which", ["reported", "together"])
def test_it_opens_anywhere(browser, request, which, viewport, scheme):
    folder = request.getfixturevalue(which)
    with opened(browser, folder / "report.html", viewport, scheme) as page:
        assert fits(page) and names_missing(page) == []
        seen = page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth)")
        assert seen and page.locator("svg text").count() > 20
        ink, paper = page.evaluate("""() => {
            const style = getComputedStyle(document.querySelector('.plot:not(.paper) svg text'));
            return [style.fill, getComputedStyle(document.body).backgroundColor]; }""")
        brightness = [sum(map(int, re.findall(r"\d+", one)[:3])) for one in (ink, paper)]
        assert abs(brightness[0] - brightness[1]) > 400  # readable, light and dark
        page.set_viewport_size({"width": 688, "height": 1000})  # A4 between its margins
        page.emulate_media(media="print", color_scheme=scheme)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)" and fits(page) and not page.is_visible("nav")


def test_several_runs_side_by_side(together):
    text = text_of(together)
    tests = {
        path.name: json.loads((path / "results.json").read_text())["metrics"]["test/elbo"]
        for path in together.iterdir()
        if path.is_dir()
    }
    discrete = (tests["discrete-0"] + tests["discrete-1"]) / 2
    assert f"{discrete:.2f} ± 1.00" in text  # two values, two apart
    difference = tests["gaussian-0"] - tests["discrete-0"]
    assert f">{difference:+.2f}<" in text  # by seed, of the one that both have
    assert "mean ± standard error over" in text and "What differs" in text
    assert text.count("<img") == 2 and "model.latent_dim" in text


def test_a_run_without_results_says_how_to_go_on(trained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained_run("gaussian"), folder)
    (folder / "results.json").unlink()
    run("report", "vae report", [str(folder)])
    text = text_of(folder)
    assert "cut short after step" in text and f"vae resume {folder}" in text
    assert "Independent(Normal, 1)) have no categories" in text


def test_what_a_file_has_in_place_of_a_number_is_no_part_of_the_page():
    text = table(("name", "a>"), [["x<b>", number("1<b>", '"><b>')]], "<b>")
    assert "<b>" not in text and "&quot;&gt;&lt;b&gt;" in text


def test_what_is_damaged_or_not_there_is_a_line(trained_run, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(trained_run("gaussian"), folder)
    (folder / "evaluation-test.json").write_text("{")
    edit(folder / "run.json", continued="yes")
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    edit(folder / "results.json", metrics=metrics | {"test/rate": math.nan, "test/note": "mine"})
    with (folder / "metrics.jsonl").open("a") as log:
        log.write('{"step": 3\n\0 is no row\n')
    (folder / "gradients.json").write_text('{"rows": [{}]}')

    def gone(*args):
        raise FileNotFoundError("no images here")

    monkeypatch.setattr("vae.data.images.digits.Digits.prepare_data", gone)
    run("report", "vae report", [str(folder)])
    said, text = capsys.readouterr().err, text_of(folder)
    assert "metrics.jsonl: 2 rows of it cannot be read, and left out" in said
    assert 'id="curves-0-val-elbo-figure_1"' in text and "yes</td>" in text
    assert ">NaN<" in text and "test/note" not in text
    assert "evaluation-test.json is not JSON" in said and "no images here" in said
    assert "evaluation-test.json is not JSON" in text and "Not shown: a file was edited" in text
    assert "as it was drawn before; now: no images here" in text
    assert "KL of each variable: not drawn, no images here" in text
    with pytest.raises(SystemExit):
        run("report", "vae report", [str(folder)])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "is kept, since its pictures could not be drawn again" in said
    assert text_of(folder) == text


def test_of_several_an_edited_file_costs_a_section(together, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(together, folder)
    path = folder / "gaussian-0" / "results.json"
    edits = {"steps": "many", "binarization": "static"}
    path.write_text(json.dumps(json.loads(path.read_text()) | edits))
    run("report", "vae report", [str(folder)])
    text = text_of(folder)
    assert text.count("Not shown: a file was edited") == 1 and "What differs" in text
    kinds = [f"Digits, {how} binarisation, Bernoulli likelihood" for how in ("dynamic", "static")]
    titles = re.findall("<h3>([^<]*)<", text)
    assert titles == kinds * 2 and "do not compare: a table each" in text  # results, and curves
    assert "minus that of" not in text
    own = text[text.index(kinds[1]) : text.index("Of the test at each")]
    assert own.count("<tr>") == 2 and ">digits<" in own and ">discrete<" not in own
