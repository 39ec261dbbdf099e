"""The command line as people use it: the scripts end to end on digits, and W&B offline read back.
What people get wrong is in test_bad_input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import wandb_offline
import yaml
from PIL import Image
from quickstart import quickstart

from vae.cli.app import VAECLI
from vae.run.files import write_json
from vae.run.here import vae_here
from vae.run.metrics import JSONLLogger
from vae.run.wandb_mode import wandb_mode

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "experiments" / "configs"
GAUSSIAN = ["--config", str(CONFIGS / "digits.yaml")]


@pytest.fixture(scope="module")
def trained(script, tmp_path_factory):
    """Two runs of the training script on digits, W&B offline as it is without an account; the
    second from the first's config."""
    folder = tmp_path_factory.mktemp("runs")
    nobody = {"WANDB_MODE": "", "WANDB_API_KEY": "", "NETRC": str(folder.parent / "nothing")}
    environment = {"VAE_RUNS_DIR": str(folder), **nobody}
    config = CONFIGS / "digits.yaml"
    flags = ["--trainer.max_epochs", 5, "--image_every", 2, "--trainer.log_every_n_steps", 10]
    first = script("train.py", "fit", "--config", config, *flags, **environment)
    assert first.code == 0, first.err
    (path,) = folder.iterdir()
    second = script("train.py", "fit", "--config", path / "config.yaml", **environment)
    assert second.code == 0, second.err
    (other,) = set(folder.iterdir()) - {path}
    return path, other, first


@pytest.mark.e2e
def test_a_run_leaves_everything_in_one_folder(trained):
    path, _, process = trained
    names = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    for name in (
        "config.yaml",
        "run.json",
        "metrics.jsonl",
        "results.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "images/reconstructions-0002.png",
        "images/samples-0005.png",
    ):
        assert name in names, name
    assert set(os.listdir(path)) == {
        "config.yaml",
        "run.json",
        "metrics.jsonl",
        "results.json",
        "checkpoints",
        "images",
        "wandb",
    }
    record = json.loads((path / "run.json").read_text())
    assert record["id"] == path.name and record["seed"] == 0 and "torch" in record
    assert "test/elbo" in process.out and str(path) in process.out
    assert process.err == ""  # piped: no bar, no warnings, no banners
    contents = torch.load(path / "checkpoints" / "best.ckpt", weights_only=True)
    assert tuple(contents["hyper_parameters"]["image_shape"]) == (1, 8, 8)
    assert contents["datamodule_hyper_parameters"]["binarization_seed"] == 0


@pytest.mark.e2e
def test_metrics_are_logged_at_their_steps(trained):
    path, _, _ = trained
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    train = [line["step"] for line in lines if "train/bound" in line]
    assert train == [9, 19, 29, 39, 49, 59, 69, 79, 89, 99]  # 105 steps of 5 epochs, each tenth
    assert sum("val/elbo" in line for line in lines) == 5
    assert sum("test/log_likelihood_100" in line for line in lines) == 1


@pytest.mark.e2e
def test_a_run_from_a_saved_config_is_the_same_run(trained):
    path, other, _ = trained
    results = [json.loads((p / "results.json").read_text()) for p in (path, other)]
    assert results[0]["metrics"] == results[1]["metrics"]
    a, b = (torch.load(p / "checkpoints" / "last.ckpt", weights_only=True) for p in (path, other))
    assert all(torch.equal(a["state_dict"][k], b["state_dict"][k]) for k in a["state_dict"])


@pytest.mark.e2e
def test_wandb_offline_holds_id_config_history_and_images(trained):
    path, _, _ = trained
    (file,) = path.glob("wandb/offline-run-*/*.wandb")
    read = wandb_offline.read(file)
    assert read.id == path.name and read.exit_code == 0
    assert read.config["seed_everything"] == 0
    assert read.config["data"]["class_path"] == "vae.DigitsDataModule"
    assert read.config["image_shape"] == [1, 8, 8]
    assert read.config["run"]["id"] == path.name and "git" in read.config["run"]
    keys = set().union(*read.history)
    assert {
        "train/bound",
        "train/elbo",
        "train/rate",
        "train/distortion",
        "val/elbo",
        "val/rate",
        "val/distortion",
        "test/elbo",
        "test/log_likelihood_100",
        "schedule/beta",
        "trainer/global_step",
        "images/samples.captions",
    } <= keys
    steps = [row["trainer/global_step"] for row in read.history if "train/bound" in row]
    assert steps == sorted(set(steps)) and len(steps) == 10
    assert list(path.glob("wandb/offline-run-*/files/media/images/images/*.png"))


@pytest.mark.e2e
def test_reconstruct_sample_and_evaluate(script, trained, tmp_path):
    path, _, _ = trained
    process = script("reconstruct.py", path, "--count", 20)
    assert process.code == 0 and process.err == ""
    with Image.open(path / "images" / "reconstructions.png") as image:
        assert image.size[0] > 500 and len(image.getcolors(100_000)) > 10
    target = tmp_path / "deep" / "samples.png"
    process = script("sample.py", path / "checkpoints" / "last.ckpt", "--output", target)
    assert process.code == 0 and target.exists() and str(target) in process.out
    process = script("evaluate.py", path, "--log_likelihood", 1, 50, "--limit", 100)
    assert process.code == 0 and process.err == ""
    result = json.loads((path / "evaluation-test.json").read_text())
    assert result["images"] == 100 and result["binarization"] == "dynamic"
    assert result["training"]["id"] == path.name and "command" in result["training"]
    values = {name: row["mean"] for name, row in result["metrics"].items()}
    assert set(values) >= {
        "elbo",
        "rate",
        "distortion",
        "log_likelihood_1",
        "log_likelihood_50",
    }
    assert values["log_likelihood_50"] > values["elbo"]
    assert result["metrics"]["elbo"]["se"] > 0


@pytest.mark.e2e
def test_evaluation_agrees_with_the_test_at_the_end_of_training(script, trained):
    path, _, _ = trained
    assert script("evaluate.py", path, "--elbo_samples", 20).code == 0
    again = json.loads((path / "evaluation-test.json").read_text())["metrics"]["elbo"]
    at_end = json.loads((path / "results.json").read_text())["metrics"]["test/elbo"]
    assert abs(again["mean"] - at_end) < 0.3  # noise of one sample an image, 250 images: 0.07


@pytest.mark.e2e
def test_a_run_is_continued_in_its_own_folder_under_its_own_id(script, trained):
    _, path, _ = trained
    before, first = set(path.parent.iterdir()), json.loads((path / "results.json").read_text())
    flags = ["--config", path / "config.yaml", "--ckpt_path", path, "--trainer.max_epochs", 7]
    environment = {"VAE_RUNS_DIR": str(path.parent), "WANDB_MODE": "offline"}
    process = script("train.py", "fit", *flags, **environment)
    assert process.code == 0, process.err
    assert set(path.parent.iterdir()) == before
    steps = [
        json.loads(line)["step"]
        for line in (path / "metrics.jsonl").read_text().splitlines()
        if "train/bound" in line
    ]
    assert steps == list(range(9, 147, 10))  # 7 epochs of 21 steps, no gap and no repetition
    runs = [wandb_offline.read(file) for file in path.glob("wandb/offline-run-*/*.wandb")]
    assert [r.id for r in runs] == [path.name] * 2
    results = json.loads((path / "results.json").read_text())
    assert results["epochs"] == 7 and results["seconds"] > first["seconds"]  # the whole run's
    assert "\nckpt_path: null\n" in (path / "config.yaml").read_text()


@pytest.mark.e2e
def test_ctrl_c_keeps_a_checkpoint_and_exits_as_shells_expect(tmp_path):
    """In an interpreter of its own; the other signals, and the rest: test_resume."""
    command = [sys.executable, "experiments/train.py", "fit", *GAUSSIAN]
    command += ["--trainer.max_epochs", "100000", "--image_every", "0"]
    environment = {**os.environ, "VAE_RUNS_DIR": str(tmp_path), "WANDB_MODE": "disabled"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # a parent that ignores SIGINT, as shells do for background jobs, must not be inherited
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*/checkpoints/best.ckpt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    (last,) = tmp_path.glob("*/checkpoints/last.ckpt")
    assert f"continue: {vae_here()} resume {last.parent.parent}" in out
    assert torch.load(last, weights_only=True)["global_step"] > 0


@pytest.mark.e2e
@pytest.mark.parametrize(
    "flags",
    [
        ["--trainer.max_steps", 7],
        ["--trainer.check_val_every_n_epoch", 3],
        ["--trainer.limit_val_batches", 0, "--trainer.limit_test_batches", 0],
        ["--trainer.precision", "bf16-mixed", "--model.gradient_clip_norm", 1],
        ["--model", "ContinuousVAE", "--model.latent", "gamma"],
    ],
    ids=lambda flags: flags[0],
)
def test_odd_lengths_and_precisions_end_well(script, flags, tmp_path):
    environment = {"VAE_RUNS_DIR": str(tmp_path), "WANDB_MODE": "disabled"}
    process = script(
        "train.py", "fit", *GAUSSIAN, "--trainer.max_epochs", 2, *flags, **environment
    )
    assert process.code == 0, process.err
    (path,) = tmp_path.iterdir()
    assert list(path.glob("checkpoints/*.ckpt")) and list(path.glob("images/*.png"))


@pytest.mark.e2e
def test_a_rehearsal_leaves_nothing_behind(script, tmp_path):
    environment = {"VAE_RUNS_DIR": str(tmp_path), "WANDB_MODE": "disabled"}
    process = script("train.py", "fit", *GAUSSIAN, "--trainer.fast_dev_run", "true", **environment)
    assert process.code == 0, process.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
def test_quickstart_without_mnist_says_so_and_trains_on_digits(
    forked_scripts, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "argv", ["quickstart.py"])
    quickstart(["--trainer.max_epochs", "2"])
    assert "NO MNIST: training on scikit-learn's 8 x 8 digits instead" in capsys.readouterr().out
    (path,) = (p for p in tmp_path.iterdir() if p.name != "none")
    assert (path / "images" / "reconstructions.png").exists()
    assert (path / "images" / "samples.png").exists()
    assert not (path / "wandb").exists()


def holds(full, given):
    """Whether all that is given is in the whole, where the options left out have their defaults."""
    if isinstance(given, dict):
        return all(holds(full[name], value) for name, value in given.items())
    if isinstance(given, list) and given and isinstance(given[0], dict):
        return len(full) == len(given) and all(map(holds, full, given))
    return full == given


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_parses_and_holds_differences_only(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py"])

    def resolved(*arguments):
        with pytest.raises(SystemExit) as exit_:
            VAECLI(["fit", *arguments, "--print_config"])
        assert exit_.value.code in (0, None)
        return yaml.safe_load(capsys.readouterr().out)

    own = yaml.safe_load(path.read_text())
    classes = [f"--{key}={own[key]['class_path']}" for key in ("model", "data")]
    full, defaults = resolved("--config", str(path)), resolved(*classes)
    for key in ("model", "data"):
        for name, value in own[key].get("init_args", {}).items():
            assert holds(full[key]["init_args"][name], value)
            assert value != defaults[key]["init_args"][name]
    for name, value in own.get("trainer", {}).items():
        assert full["trainer"][name] == value != defaults["trainer"][name]


# Small parts ----------------------------------------------------------------------------------


def test_wandb_mode_is_the_environments_or_offline_without_an_account(monkeypatch, tmp_path):
    for mode in ("disabled", "offline", "online"):
        monkeypatch.setenv("WANDB_MODE", mode)
        assert wandb_mode() == mode
    monkeypatch.setenv("WANDB_MODE", "loud")
    with pytest.raises(ValueError, match="WANDB_MODE=loud: choose from"):
        wandb_mode()
    monkeypatch.setenv("WANDB_MODE", "")  # as if unset
    monkeypatch.setattr("wandb.login", lambda prompt: False)
    assert wandb_mode() == "offline"
    monkeypatch.setattr("wandb.login", lambda prompt: True)
    assert wandb_mode() == "online"


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a" / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_json_has_no_infinity_however_deep(tmp_path):
    rows = ({"snr": float("inf"), "variance": 0.0}, [float("nan"), -float("inf"), 1.5])
    write_json(tmp_path / "x.json", {"rows": rows})
    said = json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail)
    assert said == {"rows": [{"snr": None, "variance": 0.0}, [None, None, 1.5]]}


def test_the_jsonl_logger_appends(tmp_path):
    logger = JSONLLogger(tmp_path / "run")
    logger.log_metrics({"a": torch.tensor(1.5)}, step=3)
    logger.log_metrics({"b": 2}, step=4)
    lines = [
        json.loads(ln) for ln in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [(ln["step"], ln.get("a"), ln.get("b")) for ln in lines] == [
        (3, 1.5, None),
        (4, None, 2),
    ]
