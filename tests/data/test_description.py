"""From a data module to plain values, and from a checkpoint back to its data."""

import numpy
import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from plain_digits import PlainDigits
from small import SMALL
from torch.utils.data import DataLoader, TensorDataset

from vae.data.batch import DataError
from vae.data.description import data_names, describe_data
from vae.data.digits import DigitsDataModule
from vae.data.load import load_data, load_images
from vae.data.mnist import MNISTDataModule
from vae.data.source import images_of
from vae.models.checkpoint import read_checkpoint
from vae.training.presets import GaussianVAE


def contents(**own):
    return {"vae": {"model": {"init_args": {"image_shape": [1, 8, 8]}}, "parts": None, **own}}


def test_our_data_modules_are_named_by_their_public_names_with_all_arguments():
    spec = describe_data(MNISTDataModule(num_val=400, binarization="static"))
    assert spec["class_path"] == "vae.MNISTDataModule"
    arguments = {"batch_size": 128, "eval_batch_size": 1000, "binarization": "static"}
    arguments |= {"num_val": 400, "seed": 0, "binarization_seed": 0, "steps_per_batch": 50}
    assert spec["init_args"] == arguments


class Fixed(DigitsDataModule):
    """A subclass that decides some arguments itself, and has one of its own."""

    def __init__(self, digits: int = 3, **kwargs):
        super().__init__(binarization="static", **kwargs)
        self.digits = digits


def test_a_subclass_is_made_again_with_the_arguments_that_it_takes(monkeypatch):
    spec = describe_data(Fixed(digits=4, batch_size=7))
    assert spec["class_path"] == "test_description.Fixed"
    assert "binarization" not in spec["init_args"] and spec["init_args"]["digits"] == 4
    monkeypatch.setenv("VAE_TRUST", "test_description")
    again = load_data(contents(data=spec))
    assert type(again).__name__ == "Fixed" and again.batch_size == 7 and again.digits == 4
    assert again.count("test") == 250 and again.binarization == "static"


class Saves(PlainDigits):
    def __init__(self, limit: int = 100, batch_size: int = 10):
        super().__init__(batch_size, limit)
        self.save_hyperparameters()


class Takes(PlainDigits):
    def __init__(self, dataset):
        super().__init__()
        self.save_hyperparameters()


class TakesNothing(LightningDataModule):
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(8, 1, 8, 8)), 4)


def test_a_plain_data_module_is_described_by_its_configuration_or_by_what_it_saved():
    spec = {"class_path": "plain_digits.PlainDigits", "init_args": {"batch_size": 9}}
    data = PlainDigits(batch_size=9)
    images_of(data, 0, spec)
    assert describe_data(images_of(data)) == spec
    saved = describe_data(images_of(Saves(limit=70)))
    assert saved["init_args"] == {"limit": 70, "batch_size": 10}
    assert describe_data(TakesNothing())["init_args"] == {}


@pytest.mark.parametrize(
    "make, words",
    [
        (PlainDigits, "PlainDigits does not save its arguments: call self.save_hyperparameters"),
        (lambda: Takes(torch.zeros(3)), "a Tensor does not say what it was made with"),
    ],
    ids=["unsaved", "no-plain-value"],
)
def test_of_what_cannot_be_described_the_checkpoint_says_so(make, words):
    names = data_names(make())
    assert names["data"] is None and words in names["data_why_not"]
    with pytest.raises(DataError, match="does not say how to make its data") as error:
        load_images(contents(**names))
    assert words in str(error.value) and "--data mine.MyData" in str(error.value)


def test_other_data_can_be_given_if_the_model_is_of_their_shape():
    data = load_images(contents(data=None), PlainDigits())
    assert data.count("test") == 250
    with pytest.raises(DataError, match=r"shape \(1, 8, 8\), and Wide.* \(3, 4, 4\)"):

        class Wide(TakesNothing):
            def train_dataloader(self):
                return [torch.rand(2, 3, 4, 4)]

        load_images(contents(data=None), Wide())


def test_images_to_look_at_are_those_of_the_data_module():
    for binarization in ("static", "dynamic", "none"):
        spec = describe_data(DigitsDataModule(binarization=binarization, binarization_seed=3))
        looked, trained = load_images(contents(data=spec)), load_data(contents(data=spec))
        assert isinstance(trained, LightningDataModule)
        assert not isinstance(looked, LightningDataModule)
        for split in ("train", "val", "test"):
            for x, same in zip(looked.loader(split), trained.loader(split), strict=True):
                assert torch.equal(x, same)


def test_the_order_of_a_plain_data_module_is_that_of_its_run(monkeypatch):
    monkeypatch.setenv("VAE_TRUST", "plain_digits")
    spec = {"class_path": "plain_digits.PlainDigits", "init_args": {}}
    run = images_of(PlainDigits(), seed=77)
    again = load_data(contents(data=spec) | {"PlainImages": run.state_dict()})
    first, same = (next(s.loader("train", train=True).batches(0, 1)) for s in (run, again))
    assert torch.equal(first, same)


def test_a_state_that_no_checkpoint_can_hold_is_refused():
    data = PlainDigits()
    data.state_dict = lambda: {"numbers": (1, [torch.zeros(2)], None)}
    assert images_of(data, seed=1).state_dict()["seed"] == 1
    data.state_dict = lambda: {"numbers": numpy.zeros(2)}
    with pytest.raises(DataError, match="state_dict holds more than plain values"):
        images_of(data).state_dict()


def test_a_foreign_class_is_imported_only_if_it_is_trusted(monkeypatch):
    spec = {"class_path": "plain_digits.PlainDigits", "init_args": {"limit": 20}}
    with pytest.raises(ValueError, match="would run the module plain_digits"):
        load_data(contents(data=spec))
    monkeypatch.setenv("VAE_TRUST", "plain_digits")
    assert load_data(contents(data=spec)).count("train") == 20
    spec["init_args"] = {"limit": "many"}
    with pytest.raises(DataError, match="data do not fit this version"):
        load_data(contents(data=spec))
    with pytest.raises(ValueError, match="no LightningDataModule"):
        load_data(contents(data={"class_path": "vae.GaussianVAE", "init_args": {}}))


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize(
    "make", [Saves, lambda: Takes(TensorDataset(torch.zeros(2)))], ids=["plain", "not"]
)
def test_a_checkpoint_made_in_python_can_be_read_whatever_its_data_were_made_with(tmp_path, make):
    trainer = Trainer(
        max_steps=2,
        **{"logger": False, "enable_checkpointing": False, "enable_progress_bar": False},
        **{"enable_model_summary": False, "num_sanity_val_steps": 0, "accelerator": "cpu"},
        limit_val_batches=0,
    )
    trainer.fit(GaussianVAE(latent_dim=2, **SMALL), make())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    found = read_checkpoint(tmp_path / "x.ckpt")
    assert (found["vae"]["data"] is None) == (make is not Saves)
