"""The benchmark: its arithmetic on constructed numbers, its loops on a few images, its script."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "experiments" / "bench.py"


@pytest.fixture
def bench(monkeypatch):
    import bench

    return bench


@pytest.fixture
def images():
    return torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8)


class Counter:
    """A loop whose images take as long as it is told, by a clock of its own."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.calls = clock, seconds, []

    def run(self, steps):
        self.calls.append(steps)
        self.clock.now += steps * self.seconds
        return steps * 128


class Clock:
    now = 0.0


def test_rounds_time_host_and_guests_apart(bench, monkeypatch):
    from benchmark import rounds

    clock = Clock()
    monkeypatch.setattr(rounds, "clock", lambda device: clock.now)
    eager, slow = Counter(clock, 0.1), Counter(clock, 0.4)
    turns = rounds.Rounds("vae", 10, {"eager": (eager, 10), "slow": (slow, 5)}, "cpu")
    for step in range(1, 31):
        clock.now += 0.2 if step > 10 else 5.0  # the first round warms up, and is not counted
        turns.on_step(step, 128)
    assert eager.calls == [10] * 3 and slow.calls == [5] * 3
    found = rounds.against_eager(turns.rates)
    assert found["vae"]["images_per_second"]["median"] == pytest.approx(640)
    for name, ratio in (("vae", 0.5), ("eager", 1), ("slow", 0.25)):
        assert found[name]["ratio"] == pytest.approx({"median": ratio, "q1": ratio, "q3": ratio})


def test_summary_has_quartiles(bench):
    from benchmark.rounds import summary

    assert summary([5.0, 1.0, 2.0, 4.0, 3.0]) == {"median": 3, "q1": 2, "q3": 4}
    assert summary([7.0]) == {"median": 7, "q1": 7, "q3": 7}


def test_loops_take_steps_and_learn(bench, images):
    from benchmark.loops import MODELS, Eager, eager
    from benchmark.peers import Tutorial, TutorialVAE

    tutorial = Tutorial(images)
    before = [p.clone() for p in tutorial.model.parameters()]
    assert tutorial.run(4) == 128 + 128 + 44 + 128
    assert all((a != b).any() for a, b in zip(before, tutorial.model.parameters(), strict=True))
    vae = TutorialVAE()
    assert Eager(vae.fast_loss, vae.parameters(), images, 200, binarized=False).run(2) == 300
    x = torch.rand(5, 1, 28, 28)
    torch.manual_seed(0)
    expected = vae.loss(x) / 5
    torch.manual_seed(0)
    torch.testing.assert_close(vae.fast_loss(x), expected)
    for model in MODELS.values():
        assert eager(model, images, 10).run(2) == 20


def test_a_model_of_some_age_against_a_fresh_one(bench, images):
    try:
        ratio = bench.aging(True, 2, 2, 1, "cpu", images)
    finally:
        torch.set_flush_denormal(False)
    assert 0.01 < ratio["median"] < 100


def test_without_ensembles_the_rest_is_measured(bench, images, monkeypatch, capsys):
    from benchmark import scaling

    monkeypatch.setitem(sys.modules, "vae.training.many.module", None)
    found = scaling.scaling(images, 1, 0.001, "cpu")
    assert set(found) == {"batch_size", "num_samples", "latent_dim"}
    assert "no scaling in the number of models" in capsys.readouterr().out


@pytest.mark.e2e
def test_everything_once(bench, script, mnist_dir, tmp_path):
    """As a user runs it: a JSON, a plot, tables; and nothing in the folder of runs."""
    path = tmp_path / "out" / "bench.json"
    environment = {"VAE_DATA_DIR": str(mnist_dir), "VAE_RUNS_DIR": str(tmp_path / "runs")}
    flags = ["--quick", "--output", path, "--models", "gaussian", "rloo"]
    done = script("bench.py", *flags, **environment)
    assert done.code == 0, done.err
    result = json.loads(path.read_text())
    assert set(result["models"]["gaussian"]) >= {
        "vae",
        "eager",
        "by_hand",
        "tutorial",
        "lightning",
    }
    assert result["models"]["rloo"]["eager"]["ratio"]["median"] == 1
    assert set(result["scaling"]["batch_size"]) >= {"16", "128", "1024"}
    assert result["evaluation"]["gaussian"]["ratio_to_floor"]["median"] > 0
    with Image.open(path.with_suffix(".png")) as image:
        assert image.size[0] > 500
    assert not (tmp_path / "runs").exists()
    from benchmark.report import markdown

    table = markdown(path).splitlines()
    assert table[0] == "| training loop | `gaussian` | `rloo` |"
    assert len({line.count("|") for line in table if line.startswith("|")}) == 1


def test_the_committed_numbers_are_of_whole_measurements_only(bench, monkeypatch, capsys):
    written = []
    monkeypatch.setattr(bench, "write_json", lambda path, result: written.append(path))
    monkeypatch.setattr(bench, "images_on", lambda device: torch.zeros(1))
    monkeypatch.setattr(bench, "fit_loop", lambda *_: dict.fromkeys(("median", "q1", "q3"), 1))
    bench.bench(parts=["fit_loop"], device="cpu")
    bench.bench(parts=["fit_loop"], device="cpu", quick=True)
    assert not written and "1 (1-1) microseconds" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, message",
    [
        ({"models": ["foo"]}, "unknown model 'foo'"),
        ({"parts": ["foo"]}, "unknown part 'foo'"),
        ({"rounds": 0}, "at least 1"),
        ({"device": "tpu"}, "tpu"),
        ({"output": "table.txt"}, ".json"),
    ],
)
def test_mistakes_say_so(bench, options, message):
    with pytest.raises(ValueError, match=message):
        bench.bench(**options)


def test_a_mistake_is_one_line(script):
    done = script("bench.py", "--models", "foo")
    assert done.code == 2 and not done.out
    assert done.err.startswith("error: ") and len(done.err.splitlines()) == 1
