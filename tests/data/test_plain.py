"""A user's own data module, without a base class of ours, as a source of images."""

import random

import numpy
import pytest
import torch
from lightning.pytorch import LightningDataModule
from plain_digits import PlainDigits
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from vae.data.batch import DataError, assert_pixels, images_in
from vae.data.digits import DigitsDataModule
from vae.data.module import ImageDataModule
from vae.data.noise import Noise
from vae.data.plain_loader import PlainLoader
from vae.data.source import image_shape_of, images_of


def epoch(source, number, first=0):
    return list(source.loader("train", train=True).batches(first, number))


def test_our_own_data_modules_are_sources_as_they_are():
    data = DigitsDataModule()
    assert images_of(data) is data and data.promise is None
    data.setup()
    assert [data.count(s) for s in ("train", "val", "test")] == [1297, 250, 250]
    assert data.is_binary and data.pixels == "dynamic binarisation"
    assert len(torch.cat(list(data.loader("test", limit=7)))) == 7


def test_a_plain_data_module_is_wrapped_once_and_set_up_once_for_each_stage():
    data = PlainDigits()
    source = images_of(data)
    assert images_of(data) is source and image_shape_of(data) == (1, 8, 8)
    source.prepare_data()
    source.setup("fit")
    source.assert_served()
    source.setup("test")
    assert data.calls == ["prepare_data", "setup fit", "setup test"]
    assert source.limit == 320 and source.batch_size == 64  # what it lacks is the user's
    assert [source.count(s) for s in ("train", "val", "test")] == [320, 250, 250]
    assert source.binarization is None and source.pixels == "grey pixels"


def test_batches_are_the_images_of_every_batch():
    source = images_of(PlainDigits())
    x = torch.cat(epoch(source, 0))
    assert x.shape == (320, 1, 8, 8) and x.dtype == torch.float32
    wanted = source.datamodule.images["train"]
    assert torch.equal(x.double().sum(0), wanted.double().sum(0)) and not torch.equal(x, wanted)
    assert torch.equal(torch.cat(list(source.loader("val"))), source.datamodule.images["val"])


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
def test_an_epoch_follows_from_seed_and_epoch_and_can_be_entered_anywhere(noisy, own_generator):
    options = {"noisy": noisy, "own_generator": own_generator}
    one = images_of(PlainDigits(**options), seed=1)
    torch.manual_seed(3)
    whole = epoch(one, 2)
    other = images_of(PlainDigits(**options), seed=1)
    epoch(other, 0)
    torch.manual_seed(4)  # what training draws in between plays no part
    again = epoch(other, 2, first=3)
    assert len(whole) == 5 and len(again) == 2
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], again, strict=True))
    assert not torch.equal(whole[0], epoch(one, 3)[0])
    assert not torch.equal(whole[0], epoch(images_of(PlainDigits(**options), seed=2), 2)[0])


def test_reading_data_leaves_the_global_generators_alone():
    states = torch.get_rng_state(), numpy.random.get_state()[1].copy(), random.getstate()
    epoch(images_of(PlainDigits(noisy=True)), 0)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (numpy.random.get_state()[1] == states[1]).all() and random.getstate() == states[2]


def test_noise_is_a_stream_that_goes_on():
    def draw():
        return torch.rand(()).item(), numpy.random.rand(), random.random()

    whole, parts = Noise(7), Noise(7)
    with whole:
        wanted = [draw(), draw()]
    found = []
    for _ in range(2):
        draw()
        with parts:
            found.append(draw())
    assert found == wanted and wanted[0] != wanted[1]


def test_processes_take_turns_at_the_batches():
    class Trainer:
        world_size, overfit_batches, current_epoch = 2, 0, 0

    class Strategy:
        root_device = torch.device("cpu")

    shares, source = [], images_of(PlainDigits(limit=330), seed=1)
    alone = epoch(source, 0)
    Trainer.strategy = Strategy
    for rank in (0, 1):
        Trainer.global_rank = rank
        source.trainer = Trainer
        loader = source.loader("train", train=True)
        shares.append(list(loader.batches(0, 0)))
        assert len(loader) == len(shares[-1]) == 3
    mixed = [x for pair in zip(*shares, strict=True) for x in pair]
    assert all(torch.equal(a, b) for a, b in zip(alone, mixed, strict=True))


def test_processes_have_a_part_of_every_batch_of_an_evaluation():
    read = lambda x: x
    batches = [torch.arange(4), torch.arange(4, 9), torch.arange(9, 10)]
    parts = [
        PlainLoader(batches, read, 0, 4, rank=r, world_size=2, evaluates=True) for r in (0, 1)
    ]
    found = [[x.tolist() for x in part] for part in parts]
    assert found == [[[0, 2], [4, 6, 8]], [[1, 3], [5, 7]]]  # too few are left for the third


def test_evaluation_has_its_own_batch_size_and_limit():
    source = images_of(PlainDigits())
    sizes = [len(x) for x in source.loader("test", batch_size=100)]
    assert sizes == [100, 100, 50]
    parts = list(source.loader("test", batch_size=30, limit=70))
    assert [len(x) for x in parts] == [30, 30, 10]
    assert torch.equal(torch.cat(parts), source.datamodule.images["test"][:70])


class Serves(LightningDataModule):
    """Whatever it is given, as training batches."""

    def __init__(self, *batches, **more):
        super().__init__()
        self.batches, self.more = list(batches), more

    def train_dataloader(self):
        return self.batches

    def test_dataloader(self):
        return self.more.get("test")


def test_what_is_missing_has_no_images():
    source = images_of(Serves(torch.rand(4, 1, 8, 8).round()))
    source.assert_served()
    assert [source.count(s) for s in ("train", "val", "test")] == [4, 0, 0]
    assert source.val_dataloader() == [] and source.held_out() == "train"
    assert source.pixels == "binary pixels"
    with pytest.raises(DataError, match="Serves has no test images"):
        source.loader("test")


GOOD = torch.rand(4, 1, 8, 8)


@pytest.mark.parametrize(
    "batches, words",
    [
        ([], "no training images"),
        (["text"], "batches of str: expected float images"),
        ([{"image": GOOD}], "batches of dict"),
        ([("a", GOOD)], "tuple that begins with str"),
        ([(GOOD * 255).byte()], "uint8 images"),
        ([torch.arange(4)], r"int64 of shape \(4,\)"),
        ([GOOD.flatten(1)], r"shape \(4, 64\)"),
        ([GOOD[:0]], r"shape \(0, 1, 8, 8\)"),
        ([GOOD * 2 - 1], "outside"),
        ([GOOD / 0 * 0], "NaN"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_bad_batches_are_one_line_that_names_the_data_module(batches, words):
    with pytest.raises(DataError, match=words) as error:
        images_of(Serves(*batches))
    assert "Serves" in str(error.value) and "\n" not in str(error.value)


def test_later_batches_and_other_splits_are_looked_at_too():
    source = images_of(Serves(GOOD, torch.rand(4, 3, 8, 8)))
    with pytest.raises(DataError, match=r"Serves \(train\).* \(3, 8, 8\), not \(1, 8, 8\)"):
        epoch(source, 0)
    source = images_of(Serves(GOOD, test=[GOOD + 1]))
    with pytest.raises(DataError, match=r"Serves \(test\) serves pixels"):
        source.assert_served()


def test_an_image_shape_that_is_another_is_refused():
    class Says(Serves):
        image_shape = (1, 28, 28)

    with pytest.raises(DataError, match=r"\(1, 8, 8\), not \(1, 28, 28\)"):
        images_of(Says(GOOD))


def test_what_fails_in_the_users_code_says_where():
    class Broken(Serves):
        def setup(self, stage):
            raise KeyError("path")

    with pytest.raises(DataError, match=r"Broken.setup failed \(KeyError: 'path'\); VAE_DEBUG=1"):
        images_of(Broken(GOOD))

    class BrokenBatch(LightningDataModule):
        def train_dataloader(self):
            return DataLoader(TensorDataset(GOOD), collate_fn=lambda _: 1 // 0)

    with pytest.raises(DataError, match="BrokenBatch failed at its first train batch"):
        images_of(BrokenBatch())


def test_a_training_loader_without_a_length_is_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(GOOD)

    data = Serves(GOOD)
    data.train_dataloader = lambda: DataLoader(Stream(), 2)
    source = images_of(data)
    with pytest.raises(DataError, match="has no length"):
        source.assert_served()


def test_pixels_may_leave_the_range_by_rounding_only():
    assert_pixels(torch.tensor([-5e-7, 1 + 5e-7]), "x")
    with pytest.raises(DataError):
        assert_pixels(torch.tensor([1 + 1e-5]), "x")
    assert images_in([GOOD, torch.zeros(4)]) is GOOD


# A subclass of ImageDataModule ----------------------------------------------------------------


class Stripes(ImageDataModule):
    image_shape = (1, 8, 8)

    def load(self):
        x = torch.zeros(100, 1, 8, 8, dtype=torch.uint8)
        for image, row in zip(x, torch.arange(100) % 8, strict=True):
            image[:, row] = 255
        return {"train": x[:80], "val": x[80:90], "test": x[90:]}


def test_a_subclass_of_ours_says_its_shape_and_its_images_and_no_more():
    data = Stripes(batch_size=16, steps_per_batch=2, binarization="static")
    data.setup()
    assert [data.count(s) for s in ("train", "val", "test")] == [80, 10, 10]
    assert len(data.train_dataloader()) == 3  # groups of 2 of 5 batches
    assert dict(data.hparams)["binarization"] == "static" and data.hparams["seed"] == 0
    images = next(iter(data.loader("train", train=True)))
    assert images.shape == (16, 1, 8, 8)


@pytest.mark.parametrize(
    "returned, words",
    [
        ({}, "no training images"),
        ({"train": torch.rand(4, 1, 8, 8)}, "float32 for 'train', not a uint8"),
        ({"train": [1, 2]}, "list for 'train'"),
        ({"train": torch.zeros(4, 8, 8, dtype=torch.uint8)}, r"shape \(4, 8, 8\)"),
    ],
    ids=["nothing", "float", "list", "shape"],
)
def test_what_load_returns_is_looked_at(returned, words):
    class Wrong(Stripes):
        def load(self):
            return returned

    with pytest.raises(DataError, match=words) as error:
        Wrong().setup()
    assert "Wrong.load returns" in str(error.value)
