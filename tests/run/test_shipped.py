"""The trained checkpoints that come with the repository: what is in them, and when they are taken."""

import hashlib
import json
import math
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import ship
import torch
from small import MODULES, fit

import vae
from vae.cli.main import run
from vae.data.load import load_images
from vae.evaluation.terms import elbo_terms
from vae.models.checkpoint import read_checkpoint
from vae.models.half import halved, restored
from vae.run import provenance, shipped
from vae.run.checkpoint import find_checkpoint, folder_of, load
from vae.run.folder import new_run, runs_dir

NAMES = ["gaussian", "discrete", "manifold"]


def path_of(name):
    return shipped.PROJECT / "experiments" / "checkpoints" / f"{name}.ckpt"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small_and_holds_weights_and_where_they_come_from(name):
    path, row = path_of(name), json.loads(ship.RESULTS.read_text())[name]
    stored = torch.load(path, weights_only=True)
    assert stored.keys() == {
        "epoch",
        "global_step",
        "pytorch-lightning_version",
        "state_dict",
        "vae",
    }
    assert row["bytes"] == path.stat().st_size < ship.LARGEST
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {w.dtype for w in stored["state_dict"].values() if w.dim()} == {torch.float16}
    assert {w.dtype for w in read_checkpoint(path)["state_dict"].values()} == {torch.float32}
    own = stored["vae"]
    assert own["numbers"] == row["float16"] and own["training"] == row["training"]
    assert own["training"]["git"] and not own["training"]["git_dirty"]
    assert f"configs/{name}.yaml" in own["training"]["command"]
    assert not provenance.has_path(own)
    with zipfile.ZipFile(path) as file:  # nor in what torch writes of itself
        text = b"".join(file.read(n) for n in file.namelist() if "/data/" not in n)
    assert not re.search(rb"/(home|root|tmp|work|Users)/", text)
    assert max(map(abs, row["difference"].values())) <= ship.NEGLIGIBLE


@pytest.fixture(scope="module")
def images(mnist_dir):
    """The first 500 of the 10,000 test images, as an evaluation draws their pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_DATA_DIR", str(mnist_dir))
        data = load_images(load("gaussian").contents)
        return next(iter(data.loader("test", "cpu", batch_size=500)))


@pytest.mark.parametrize("name", NAMES)
def test_it_achieves_what_it_says(name, images):
    """False-alarm rate 6e-7 a number, by a z-test of 500 images against all."""
    model, contents, _ = load(name)
    found = elbo_terms(model.vae.hard, images).named()
    for each, row in contents["vae"]["numbers"].items():
        if each in found:
            error = found[each].std() / math.sqrt(len(images))
            assert abs(found[each].mean() - row["mean"]) < 5 * error, each


@pytest.mark.e2e
def test_an_evaluation_says_how_it_was_trained_and_leaves_its_folder_alone(mnist_dir, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(mnist_dir))
    run("evaluate", "vae evaluate", ["manifold", "--limit", "20"])
    found = json.loads((runs_dir() / "shipped/manifold/evaluation-test.json").read_text())
    assert found["training"]["command"].startswith("python experiments/train.py fit")


def test_where_there_is_no_run_one_is_taken_and_a_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VAE_RUNS_DIR", "runs")
    monkeypatch.chdir(tmp_path)
    run("sample", "vae sample", ["--count", "4"])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "no run in runs yet: taking gaussian, which comes trained (others: discrete, manifold)"
    )
    made = [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()]
    assert made == ["runs/shipped/gaussian/images/samples.png"]
    run("sample", "vae sample", ["discrete", "--count", "4"])
    assert "no run" not in capsys.readouterr().out
    assert Path("runs/shipped/discrete/images/samples.png").is_file()
    run("latent-map", "vae latent-map", ["--columns", "3"])  # a manifold needs no data either
    assert "taking manifold" in capsys.readouterr().out
    assert Path("runs/shipped/manifold/images/latent-map.png").is_file()
    (Path("runs") / "20260101-a" / "checkpoints").mkdir(parents=True)
    mine = Path("runs") / "20260101-a" / "checkpoints" / "last.ckpt"
    mine.touch()
    assert find_checkpoint() == mine
    Path("gaussian").touch()  # a file of one's own comes first
    assert find_checkpoint("gaussian") == Path("gaussian")


def test_outside_a_clone_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "PROJECT", tmp_path)
    assert shipped.names() == [] and shipped.path_of("gaussian") is None
    with pytest.raises(FileNotFoundError, match="no checkpoint at gaussian"):
        find_checkpoint("gaussian")
    assert folder_of(tmp_path / "a" / "gaussian.ckpt") == tmp_path / "a"


def test_the_path_is_short_inside_the_clone(monkeypatch):
    monkeypatch.chdir(shipped.PROJECT)
    assert str(find_checkpoint("manifold")) == "experiments/checkpoints/manifold.ckpt"
    assert folder_of(find_checkpoint("manifold")) == runs_dir() / "shipped" / "manifold"


def test_training_goes_on_from_its_weights():
    module = vae.GaussianVAE.load_from_checkpoint(path_of("manifold"))
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    torch.manual_seed(0)
    x = (torch.rand(4, 1, 28, 28) > 0.5).float()
    module.train()
    before = module.bound(x).bound.mean()
    optimizer = module.build_optimizer()
    for _ in range(3):
        optimizer.zero_grad()
        (-module.bound(x).bound.mean()).backward()
        optimizer.step()
    assert module.bound(x).bound.mean() > before


def test_only_what_float16_can_hold_is_halved():
    weights = {
        "weight": torch.randn(50, 40),
        "transposed": torch.randn(7, 5).T,
        "temperature": torch.tensor(0.1234567),
        "large": torch.tensor([1.0, 1e6]),
        "infinite": torch.tensor([1.0, float("inf")]),
        "double": torch.randn(3).double(),
        "count": torch.arange(5),
        "mask": torch.tensor([True, False]),
        "part": torch.zeros(1000)[:2],
    }
    small = halved(weights)
    read = restored(small)
    for name, value in weights.items():
        assert read[name].dtype == value.dtype and read[name].shape == value.shape
        stored = small[name].untyped_storage().nbytes()
        assert stored == value.numel() * small[name].itemsize and small[name].is_contiguous()
    for name in weights.keys() - {"weight", "transposed"}:
        assert torch.equal(read[name], weights[name]), name
    for name in ("weight", "transposed"):
        assert small[name].dtype == torch.float16
        assert ((read[name] - weights[name]).abs() <= weights[name].abs() / 2048 + 3e-8).all()


def test_a_checkpoint_without_the_mark_is_read_as_it_is(tmp_path):
    module = MODULES["gaussian"]()
    own = module.names() | {"data": None}
    for stored, dtype in ((None, torch.float16), ("float16", torch.float32)):
        contents = {"vae": own | {"stored": stored}, "state_dict": halved(module.state_dict())}
        torch.save(contents, tmp_path / "x.ckpt")
        weights = read_checkpoint(tmp_path / "x.ckpt")["state_dict"]
        assert weights["vae.encoder.1.weight"].dtype == dtype
        assert next(load(tmp_path / "x.ckpt").vae.parameters()).dtype == torch.float32


def test_nothing_of_a_run_is_left(tmp_path):
    path = new_run("t")
    trainer = fit(MODULES["gumbel"](), path, steps=3)
    trainer.save_checkpoint(tmp_path / "whole.ckpt")
    contents = read_checkpoint(tmp_path / "whole.ckpt")
    kept = ship.stripped(contents, {"command": "x"}, {})
    torch.save(kept, tmp_path / "kept.ckpt")
    assert "optimizer_states" in contents and "generators" in contents["vae"]
    assert not {"optimizer_states", "callbacks", "loops"} & kept.keys()
    assert "generators" not in kept["vae"]
    before, after = (load(tmp_path / f"{n}.ckpt").vae.state_dict() for n in ("whole", "kept"))
    assert all(torch.allclose(after[n], before[n], rtol=1e-3, atol=1e-6) for n in before)
    assert provenance.has_path(contents["callbacks"] | {"x": "/a/b"})
    assert provenance.has_path({"a": [{"b": "python x.py --config=/home/me/x.yaml"}]})
    assert not provenance.has_path({"a": ["nats/pixel", "a / b c", 3, None], "b": "x/y.yaml"})


def test_only_a_run_of_the_configuration_as_it_is_is_taken(monkeypatch):
    monkeypatch.chdir(shipped.PROJECT)
    whole = "python experiments/train.py fit --config experiments/configs/gaussian.yaml"
    for name, command in (
        ("20260101-a", whole),
        ("20260102-gaussian-b", whole),
        ("20260103-gaussian-short", f"{whole} --trainer.max_epochs 1"),
        ("20260104-my-gaussian-mixture", "vae fit --config gaussian_mixture"),
        ("20260105-gaussian-old", None),
    ):
        (runs_dir() / name).mkdir(parents=True)
        (runs_dir() / name / "results.json").write_text("{}")
        if command:
            (runs_dir() / name / "run.json").write_text(json.dumps({"command": command}))
    assert ship._ended("gaussian") == runs_dir() / "20260102-gaussian-b"
    assert ship._ended("discrete") is None


@pytest.mark.e2e
def test_the_command_makes_one_of_a_run_and_refuses_a_path(
    trained_run, tmp_path, monkeypatch, capsys
):
    run_folder, out = tmp_path / "run", tmp_path / "checkpoints"
    shutil.copytree(trained_run("gaussian"), run_folder)
    monkeypatch.setattr(ship, "FOLDER", out)
    monkeypatch.setattr(ship, "HERE", tmp_path / "experiments")
    monkeypatch.setattr(ship, "RESULTS", out / "checkpoints.json")
    record = json.loads((run_folder / "run.json").read_text())
    for command, fine in (("vae fit --config /home/me/x.yaml", False), ("vae fit -c x", True)):
        (run_folder / "run.json").write_text(json.dumps(record | {"command": command}))
        if not fine:
            with pytest.raises(ValueError, match="names a path of this machine"):
                ship.ship(["gaussian"], str(run_folder))
            assert not out.exists()
    ship.ship(["gaussian"], str(run_folder))
    row = json.loads((out / "checkpoints.json").read_text())["gaussian"]
    assert row["training"]["command"] == "vae fit -c x" and row["difference"].keys() >= {"elbo"}
    assert load(out / "gaussian.ckpt").contents["vae"]["numbers"] == row["float16"]
    assert sorted(p.name for p in out.iterdir()) == ["checkpoints.json", "gaussian.ckpt"]
    monkeypatch.setattr(ship, "LARGEST", 1000)
    with pytest.raises(ValueError, match="make it smaller"):
        ship.ship(["gaussian"], str(run_folder))
    for wrong, words in ((["nope"], "no checkpoint nope"), (None, "run is of one checkpoint")):
        with pytest.raises(ValueError, match=words):
            ship.ship(wrong, str(run_folder))


def test_a_slip_in_a_name_is_answered_by_the_name():
    with pytest.raises(FileNotFoundError, match="a run's folder; did you mean gaussian[?]$"):
        find_checkpoint("gausian")
    with pytest.raises(FileNotFoundError, match="a run's folder$"):
        find_checkpoint("runs/nothing")


@pytest.mark.parametrize("verb", ["report", "curves"])
def test_a_history_is_that_of_a_run(verb, tmp_path, capsys):
    """A checkpoint has none: one line says what to name instead."""
    run_folder = tmp_path / "my run"
    checkpoint = run_folder / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    (run_folder / "run.json").write_text("{}")
    checkpoint.touch()
    what = (
        "comes trained, as weights alone, without what a run has logged; what works: vae evaluate"
    )
    for given, words in (
        ("discrete", f"discrete {what} discrete, vae explore discrete"),
        (str(path_of("manifold")), f"{path_of('manifold')} {what} manifold"),
        (str(checkpoint), f"{checkpoint} is a file: name a run's folder: {run_folder}"),
    ):
        with pytest.raises(SystemExit):
            run(verb, f"vae {verb}", [given])
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
