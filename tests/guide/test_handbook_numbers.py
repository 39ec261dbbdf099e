"""Numbers in the sentences of the handbook, of which no table is made, are those of the committed results."""

import re
from pathlib import Path

from vae.estimators.names import ESTIMATORS
from vae.pages.playground.catalogue import absent
from vae.run.files import read_json

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "experiments" / "results"
HANDBOOK = ROOT / "experiments" / "guide" / "handbook"


def variance(label, report="gaussian"):
    rows = read_json(RESULTS / f"gradients-{report}.json", rows=list)["rows"]
    return next(row["variance"] for row in rows if row["label"] == label)


def model(name, metric):
    return read_json(RESULTS / "models" / f"{name}.json")["metrics"][metric]["mean"]


def said(page, pattern):
    """The numbers of a sentence."""
    text = " ".join((HANDBOOK / page).read_text(encoding="utf-8").split())
    found = re.search(pattern, text)
    assert found, f"{page} no longer says {pattern}"
    return [float(number) for number in found.groups()]


def test_the_variance_of_stl():
    stl, sampled, closed = said(
        "comparing.md", r"is (\d+), against (\d+) for `pathwise` \((\d+) with"
    )
    assert (stl, sampled, closed) == (
        round(variance("stl, Monte-Carlo KL")),
        round(variance("pathwise, Monte-Carlo KL")),
        round(variance("pathwise")),
    )


def test_where_the_run_of_the_subsets_was_stopped():
    text = (HANDBOOK / "comparing.md").read_text(encoding="utf-8")
    step = read_json(RESULTS / "gradients-k-subset.json", step=int)["step"]
    assert f"stopped at step {step:,})" in text


def test_what_multi_sample_objectives_gain():
    low, high = said("models.md", r"gain (\d) to (\d) nats of log p\(x\)")
    for name in ("iwae", "renyi", "tvo"):
        gain = model(name, "log_likelihood_1000") - model("gaussian", "log_likelihood_1000")
        assert low - 0.5 < gain < high + 0.5, name


def test_what_the_family_loses():
    full, diagonal = said(
        "models.md", r"loses only ([\d.]+) nats to the family, a diagonal one ([\d.]+)"
    )
    assert full == round(model("full_gaussian", "approximation_gap"), 1)
    assert diagonal == round(model("gaussian", "approximation_gap"), 1)


def test_what_an_autoregressive_prior_is_worth():
    low, high = said("models.md", r"autoregressive prior gains (\d) to (\d) nats")
    metrics = ("elbo", "log_likelihood_1000", "ais")
    gains = [model("autoregressive_prior", m) - model("one_hot", m) for m in metrics]
    assert low - 0.5 < min(gains) < low + 0.5 and high - 0.5 < max(gains) < high + 0.5


def test_no_unit_was_active_in_the_collapsed_vamp_prior():
    held = read_json(RESULTS / "vamp_prior_from_noise.json")["metrics"]
    assert held["active_units"]["mean"] == 0


def test_how_many_mutants_there_are():
    (mutants,) = said("estimators.md", r"(\d+) mutants \(")
    assert mutants == len(read_json(RESULTS / "mutants.json")["mutants"])


def test_what_the_encoder_loses():
    for name in ("gaussian", "iwae", "discrete", "reinforce"):
        found = read_json(RESULTS / f"{name}.json")["metrics"]
        assert found["amortization_gap"]["mean"] > found["approximation_gap"]["mean"], name
        assert found["ais_minus_log_likelihood_5000"]["mean"] > 0


def test_how_many_estimators_and_lines_the_readme_promises():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert re.findall(r"(\d+) estimators, each", text) == [str(len(ESTIMATORS))]
    shown = len(ESTIMATORS) - len(set(absent()) & set(ESTIMATORS))
    assert f"{shown} of the {len(ESTIMATORS)} estimators, those that learn among them" in text
    table = (HANDBOOK.parent / "how-to" / "own-parts.md").read_text(encoding="utf-8")
    lines = [int(number) for number in re.findall(r"^\|.*` \| (\d+) \|$", table, flags=re.M)]
    assert re.findall(r"of (\d+) to (\d+) lines", text) == [(str(min(lines)), str(max(lines)))]
