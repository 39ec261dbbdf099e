"""A plain LightningDataModule of one's own, from a file outside the package, in every verb."""

import json
import shutil

import pytest
import torch
from chaos import ROOT, assert_same_run, run_of
from PIL import Image

FIT = ["--config", "digits", "--data", "plain_digits.PlainDigits", "--data.noisy", "true"]
FIT += ["--model.hidden", "[16]", "--model.test_samples", "5", "--trainer.log_every_n_steps", "2"]


@pytest.fixture
def vae(script, tmp_path):
    """``vae("sample", ...)``: the command, in a folder that holds the user's file."""
    shutil.copy(ROOT / "tests" / "plain_digits.py", tmp_path)

    def run(*words, code=0, **variables):
        done = script("-m", "vae", *words, folder=tmp_path, VAE_RUNS_DIR="runs", **variables)
        assert done.code == code, done.out + done.err
        assert "Traceback" not in done.err, done.err
        return done

    return run


@pytest.mark.e2e
def test_a_plain_data_module_is_trained_continued_inside_an_epoch_and_evaluated(vae, tmp_path):
    done = vae("fit", *FIT, "--trainer.max_epochs", "3")
    assert "is a plain data module: a run continued inside an epoch reads" in done.out
    assert "test set, binary pixels" in done.out
    whole = run_of(tmp_path / "runs").rename(tmp_path / "whole")
    vae("fit", *FIT, "--trainer.max_epochs", "3", "--trainer.max_steps", "7")  # of 5 an epoch
    run = run_of(tmp_path / "runs")
    held = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert held["vae"]["data"]["class_path"] == "plain_digits.PlainDigits"
    assert held["loops"]["fit_loop"]["state_dict"]["combined_loader"][0]["batch"] == 2
    done = vae("resume", run, "--trainer.max_steps", "-1", "--trust", "plain_digits")
    assert "is a plain data module" in done.out
    assert_same_run(run, whole)

    assert "--trust plain_digits" in vae("evaluate", code=2).err
    trust = {"VAE_TRUST": "plain_digits"}
    vae("evaluate", "--limit", "70", **trust)
    found = json.loads((run / "evaluation-test.json").read_text(encoding="utf-8"))
    assert found["images"] == 70 and found["binarization"] is None
    vae("reconstruct", "--count", "4", **trust)
    assert "labels are left out" in vae("encode", "--limit", "70", **trust).out
    assert (run / "codes-test-70-images.npz").is_file()
    options = ["--estimators", "[pathwise]", "--replicates", "20", "--reference_replicates", "20"]
    vae("gradients", *options, "--images", "2", **trust)
    vae("sample", "--count", "4")  # needs no data, and no trust


@pytest.mark.e2e
def test_a_model_is_evaluated_on_other_data_of_the_same_shape(vae, tmp_path):
    vae("fit", *FIT, "--trainer.max_epochs", "1")
    run = run_of(tmp_path / "runs")
    vae("evaluate", "--data", "DigitsDataModule", "--data.binarization", "static")
    found = json.loads((run / "evaluation-test-DigitsDataModule.json").read_text(encoding="utf-8"))
    assert found["binarization"] == "static" and found["images"] == 250
    assert found["data"]["class_path"] == "vae.DigitsDataModule"
    wide = "import torch\nfrom lightning.pytorch import LightningDataModule\n"
    wide += "class Wide(LightningDataModule):\n"
    wide += "    def train_dataloader(self):\n        return [torch.rand(2, 3, 4, 4)]\n"
    (tmp_path / "wide.py").write_text(wide)
    for verb in ("evaluate", "reconstruct", "gradients"):
        refused = vae(verb, "--data", "wide.Wide", code=2).err
        assert refused.count("\n") == 1
        assert "of shape (1, 8, 8), and Wide has images of shape (3, 4, 4)" in refused


@pytest.mark.e2e
def test_seeds_one_by_one_and_many_at_once_are_the_same_runs(vae, tmp_path):
    config = (ROOT / "experiments" / "configs" / "digits.yaml").read_text(encoding="utf-8")
    config = config.replace("vae.DigitsDataModule", "plain_digits.PlainDigits")
    (tmp_path / "own.yaml").write_text(config.replace("[128]", "[16]"))
    vae("seeds", "--config", "own.yaml", "--seeds", "2", "--options", "{trainer.max_epochs: 1}")
    summary = json.loads((tmp_path / "runs" / "own" / "summary.json").read_text(encoding="utf-8"))
    one = summary["variants"]["own"]["test/elbo"]["values"]
    vae("train-many", "--config", "own.yaml", "--seeds", "2", "--trainer.max_epochs", "1")
    (many,) = (tmp_path / "runs").glob("*-x2-*/summary.json")
    both = json.loads(many.read_text(encoding="utf-8"))["variants"]["all"]["test/elbo"]["values"]
    assert both == pytest.approx(one, abs=1e-3)


BAD = {
    "uint8": ("torch.zeros(4, 1, 8, 8, dtype=torch.uint8)", "serves uint8 images"),
    "range": ("torch.full((4, 1, 8, 8), 2.0)", "serves pixels from 2 to 2, outside [0, 1]"),
    "labels": ("torch.arange(4)", "serves int64 of shape (4,)"),
    "flat": ("torch.rand(4, 64)", "serves batches of shape (4, 64)"),
    "binary": ("torch.ones(4, 1, 8, 8)", "unbounded on binary pixels (as in the first training"),
}


@pytest.mark.e2e
@pytest.mark.parametrize("name", BAD)
def test_what_are_no_images_is_one_line_and_nothing_is_written(name, vae, tmp_path):
    batch, words = BAD[name]
    module = "import torch\nfrom lightning.pytorch import LightningDataModule\n"
    module += "class Bad(LightningDataModule):\n"
    module += f"    def train_dataloader(self):\n        return [{batch}]\n"
    (tmp_path / "bad.py").write_text(module)
    flags = ["--model.likelihood", "gaussian"] if name == "binary" else []
    refused = vae("fit", "--config", "digits", "--data", "bad.Bad", *flags, code=2).err
    assert words in refused and refused.count("\n") == 1
    assert name == "binary" or refused.startswith("error: bad.Bad (train) serves")
    assert not (tmp_path / "runs").exists()


@pytest.mark.e2e
def test_a_zip_of_pictures_is_trained_on_and_found_again_from_another_folder(vae, tmp_path):
    for number, label in enumerate("ab" * 30):
        folder = tmp_path / "test" / label  # test: what Python has a module of, too
        folder.mkdir(parents=True, exist_ok=True)
        pixels = torch.rand(5, 6, 3, generator=torch.Generator().manual_seed(number))
        Image.fromarray((pixels * 255).byte().numpy()).save(folder / f"{number}.png")
    shutil.make_archive(str(tmp_path / "test"), "zip", tmp_path, "test")
    options = ["--model", "GaussianVAE", "--model.hidden", "[8]", "--model.likelihood", "gaussian"]
    options += ["--model.center_inputs", "true", "--model.test_samples", "2"]
    options += ["--data", "ImageFolderDataModule", "--data.path", "test.zip"]
    vae("fit", *options, "--data.batch_size", "16", "--trainer.max_steps", "4")
    run = run_of(tmp_path / "runs").rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "test")
    held = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert held["vae"]["data"]["init_args"]["path"] == str(tmp_path / "test.zip")
    vae("resume", run, "--trainer.max_steps", "9")
    vae("evaluate", run, "--probe")
    vae("reconstruct", run, "--count", "4")
    (tmp_path / "test.zip").unlink()
    assert "test.zip is not there: path names a folder" in vae("evaluate", run, code=2).err
