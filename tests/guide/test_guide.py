"""The guide's pages: what they name is there. The whole site is built by ``tests/pages/test_guide_site.py``."""

import json
import re
from pathlib import Path

import links
import matplotlib
import pytest
from building.claims import failed
from building.colours import colours
from building.links import broken
from building.mathml import mathml
from building.references import exists
from building.rooms import files_of
from looked_up.contents import front_matter
from looked_up.matrix import matrix
from looked_up.meanings import EVALUATION, TRAINING
from looked_up.numbers import meaning, measured
from looked_up.terminal import Terminal

import vae
from vae.estimators.names import ESTIMATORS, SURROGATES
from vae.evaluation.parts import ALWAYS, PARTS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "experiments" / "guide"
PAGES = [page for page in sorted(GUIDE.rglob("*.md")) if page.name != "README.md"]
TEXT = {page.relative_to(GUIDE).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
REFERENCE = "".join(
    page.read_text(encoding="utf-8") for page in sorted((GUIDE / "reference").glob("*.rst"))
)


@pytest.mark.parametrize("page", TEXT)
def test_a_page_says_what_it_is(page):
    about = front_matter(GUIDE / page)
    assert 20 <= len(about["description"]) <= 200
    executed = "{code-cell}" in TEXT[page]
    assert (about.get("file_format") == "mystnb") == executed or "chapters/" in page
    prose = re.sub(r"^```.*?^```$", "", TEXT[page], flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^# ", prose, flags=re.MULTILINE)) == 1


def test_every_page_is_in_the_navigation():
    listed = set()
    for name, text in TEXT.items():
        for block in re.findall(r"```\{toctree\}\n(.*?)```", text, flags=re.DOTALL):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {(GUIDE / name).parent / entry for entry in entries}
    sources = [page for page in GUIDE.rglob("*") if page.suffix in (".md", ".rst")]
    pages = {page.with_suffix("") for page in sources if page.name != "README.md"}
    assert listed == pages - {GUIDE / "index"}


def test_every_public_name_is_in_the_reference_once():
    rooms = re.findall(r"^\.\. room:: (.*)$", REFERENCE, flags=re.MULTILINE)
    files = [files_of(room) for line in rooms for room in line.split()]
    names = [name for file in files for held in file.values() for name in held]
    assert sorted(names) == vae.__all__
    assert files_of("estimators")["vae.estimators.names"] == ["ESTIMATORS"]
    assert next(iter(files_of("models.latents"))).endswith(".base")


def references(text):
    """Names of this library that a page links to."""
    found = re.findall(r"\{py:\w+\}`([^`]+)`", text)
    return [re.sub(r"^.*<(.*)>$", r"\1", name).lstrip("~!") for name in found]


def in_reference(name):
    parts = name.split(".")
    if parts[0] != "vae" or not exists(name):
        return False
    members = re.findall(r"automodule:: (\S+)\n   :members:", REFERENCE)
    return (
        (len(parts) > 1 and parts[1] in vae.__all__)
        or f":: {name}\n" in REFERENCE
        or name.rpartition(".")[0] in members
        or any(name in files_of(room.removeprefix("vae.")) for room in set(vae.PLACES.values()))
    )


@pytest.mark.parametrize("page", TEXT)
def test_references_of_a_page_are_in_the_reference(page):
    missing = [name for name in references(TEXT[page]) if not in_reference(name)]
    assert not missing, f"{page} links to {missing}"


def test_a_reference_to_nothing_is_seen():
    assert references("{py:class}`vae.RLOO` {py:func}`read <vae.load>`") == [
        "vae.RLOO",
        "vae.load",
    ]
    assert in_reference("vae.RLOO") and in_reference("vae.estimators.composed.gumbel_rao")
    assert not in_reference("vae.RLO") and not in_reference("RLOO")
    assert not in_reference("vae.estimators.running.RunningMean")  # it is not public
    assert exists("vae.VAE.sample") and not exists("vae.VAE.samples") and not exists("vea")


def test_every_number_is_explained():
    assert set(EVALUATION) == {*ALWAYS, *PARTS}
    assert set(re.findall(r'of_part\("(\w+)"\)', TEXT["numbers.md"])) == set(EVALUATION)
    for name, number in measured().items():
        assert meaning(name, EVALUATION[number["part"]]), name
    sources = "".join(
        p.read_text(encoding="utf-8") for p in sorted((ROOT / "vae" / "evaluation").glob("*.py"))
    )
    named = set(re.findall(r'(?:Number|mean_of)\(\s*f?"([\w{}:]+)"', sources))
    everything = {pattern: said for part in EVALUATION.values() for pattern, said in part.items()}
    for name in named - {"frechet_{name}", "{name}_{wanted:g}"}:
        name = re.sub(r"\{\w+\}", "1", name).replace("probe_linear1", "probe_linear")
        assert meaning(name.replace("probe_knn1", "probe_knn"), everything), name


def test_every_metric_that_the_code_names_is_explained():
    sources = "".join(
        path.read_text(encoding="utf-8")
        for room in ("training", "run")
        for path in (ROOT / "vae" / room).rglob("*.py")
    )
    logged = set(re.findall(r'"((?:train|val|test|best|grad|schedule)/[\w/{}]+)"', sources))
    assert len(logged) > 5
    for name in logged:
        name = re.sub(r"\{\w+\}", "elbo", name)
        assert meaning(name, TRAINING) or meaning(name + "_100", TRAINING), name


@pytest.mark.e2e
def test_every_metric_of_a_run_is_explained(trained_run):
    rows = (trained_run("gaussian") / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    logged = {name for row in rows for name in json.loads(row)} - {"step", "time", "epoch"}
    assert logged >= {"train/rate", "val/elbo", "test/distortion"}
    assert [name for name in sorted(logged) if not meaning(name, TRAINING)] == []


def test_the_matrix_has_every_estimator():
    text = matrix().data
    rows = [line for line in text.splitlines() if line.startswith("| {")]
    shown = {re.match(r"\| \{py:\w+\}`(\w+) <", row)[1] for row in rows}
    assert shown == {*ESTIMATORS, *SURROGATES}
    missing = [name for name in references(text) if not in_reference(name)]
    assert not missing, missing
    assert "matrix()" in TEXT["matrix.md"]


def test_external_links_are_listed():
    listed = links.LISTED.read_text(encoding="utf-8")
    assert listed == links.listing(), "run python experiments/links.py"
    assert links.links("(see https://a.org/b_(c), or https://d.org/x.)") == [
        "https://a.org/b_(c)",
        "https://d.org/x",
    ]


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="here">A</h1><a href="b.html#there"></a><a href="#here"></a><a href="https://x.org"></a>'
        '<img src="data:,">'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p>')
    assert broken(tmp_path, {"https://x.org"}) == []
    (tmp_path / "b.html").write_text(
        '<a href="a.html#nowhere"></a><a href="c.html"></a><script src="https://cdn.org/x.js"></script>'
        '<link rel="stylesheet" href="missing.css">'
    )
    found = broken(tmp_path, set())
    assert len(found) == 6  # and the place that has gone, and the link that is not listed
    assert all(
        sum(what in line for line in found) == 1 for what in ("nowhere", "c.html", "cdn.org")
    )


def test_a_claim_that_fails_is_told_in_a_line():
    traceback = "AssertionError  Traceback\n     32 x = 1\n\x1b[31m---> 33\x1b[39m assert x == 2  # two\n\nAssertionError: \n"
    assert failed(traceback) == "does not hold: assert x == 2  # two"
    assert failed("---> 4 1 / 0\n\nZeroDivisionError: division by zero\n").startswith("1 / 0: ")


def test_what_a_command_prints_on_a_page_has_no_colours_and_no_folder_of_this_machine(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a page's interpreter does
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    words = "rich.print('[bold]a'); print(vae.run.here.vae_here())"
    terminal = Terminal()
    printed = terminal.run(f'python -c "import rich, vae.run.here; {words}"')
    terminal._held.cleanup()
    assert printed.lines == ["a", "vae"]


def test_maths_of_docstrings_and_pages_has_mathml():
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "vae").rglob("*.py"))]
    formulae = [tex for text in texts for tex in re.findall(r":math:`([^`\"]+)`", text)]
    formulae += [
        tex for text in TEXT.values() for tex in re.findall(r"\$\$(.*?)\$\$", text, re.DOTALL)
    ]
    assert len(formulae) > 300
    for tex in formulae:
        if "\\\\m" not in tex:  # of a docstring that is not raw
            assert mathml(tex, block=True).startswith("<math"), tex
    assert "1em" not in mathml(r"\tilde f_k", block=True)
    assert "munderover" not in mathml(r"\tilde f_k", block=True)


def test_figures_take_the_colours_of_the_page():
    with matplotlib.rc_context():
        import figures
    figure, axes = figures.panels(1, 2)
    for colour in (*figures.LINES, figures.GREY, "white"):
        axes[0].plot([0, 1], [0, 1], color=colour, label=r"$K$")
    figures.label_lines(axes[0])
    axes[1].text(0, 0, "a < b")
    html = figures.Drawn(figure, 'A "line" & more')._repr_html_()
    assert not re.findall(r"#[0-9a-fA-F]{6}", html)
    assert {f"var(--c{i})" for i in range(7)} - {"var(--c4)"} <= set(
        re.findall(r"var\(--c\d\)", html)
    )
    assert 'aria-label="A &quot;line&quot; &amp; more"' in html and 'role="img"' in html
    assert "a &lt; b" in html  # letters stay letters


def test_both_schemes_have_all_colours():
    light, dark = colours("light"), colours("dark")
    assert set(light) == set(dark)
    assert light["paper"] == light["color-background-primary"] != dark["paper"]
    assert "system-ui" in light["font-stack"]


def test_nothing_of_the_library_needs_the_guide():
    for path in (ROOT / "vae").rglob("*.py"):
        assert not re.search(
            r"^\s*(?:import|from) (?:sphinx|myst|furo|docutils)",
            path.read_text(encoding="utf-8"),
            re.M,
        )
