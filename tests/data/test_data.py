"""Data: where it is found, what damaged files say, binarisation, order and splits."""

import gzip
import shutil
from pathlib import Path

import jsonargparse
import pytest
import torch
import torchvision

import vae.data.folder
from vae.data.digits import DigitsDataModule
from vae.data.folder import data_dir
from vae.data.idx_sets import FASHION_MNIST, KMNIST, MNIST, emnist
from vae.data.images.cifar10 import MD5 as CIFAR
from vae.data.images.omniglot import MD5 as OMNIGLOT
from vae.data.loader import ImageLoader, binarize
from vae.data.mnist import MNISTDataModule
from vae.data.module import ImageDataModule


@pytest.fixture
def grey():
    return torch.arange(256, dtype=torch.uint8).repeat(4000).view(4000, 1, 16, 16)


def test_binarisation_draws_each_pixel_with_its_grey_level(grey):
    drawn = binarize(grey, torch.Generator().manual_seed(0)).double().mean(0).flatten()
    p = torch.arange(256).double() / 255
    z = (drawn - p) / (p * (1 - p) / len(grey)).sqrt().clamp_min(1e-9)
    assert drawn[0] == 0 and drawn[255] == 1  # exactly
    assert z.abs().max() < 6.2  # family-wise 1.5e-7 over 256 levels
    # and as torch.bernoulli: the same first two moments of the total
    torch.manual_seed(0)
    reference = torch.bernoulli((grey / 255).double()).flatten(1).sum(1)
    ours = binarize(grey, torch.Generator().manual_seed(1)).flatten(1).sum(1).double()
    assert (ours.mean() - reference.mean()).abs() < 5 * (ours.var() * 2 / len(ours)).sqrt()
    assert 0.85 < ours.var() / reference.var() < 1.17  # 5 standard errors of a ratio, n = 4000


def loader(images, **options):
    defaults = {"batch_size": 32, "binarization": "dynamic", "seed": 3, "shuffle": True}
    return ImageLoader(images, **{**defaults, **options})


def epoch(images, number, **options):
    return torch.cat(list(loader(images, epoch=lambda: number, **options)))


def test_order_and_noise_are_functions_of_seed_and_epoch(grey):
    images = grey[:100]
    assert torch.equal(epoch(images, 5), epoch(images, 5))
    assert not torch.equal(epoch(images, 5), epoch(images, 6))
    assert not torch.equal(epoch(images, 5), epoch(images, 5, seed=4))
    torch.manual_seed(1)  # the global generator plays no part
    first = epoch(images, 5)
    torch.manual_seed(2)
    assert torch.equal(first, epoch(images, 5))


def test_a_batch_does_not_depend_on_those_before_it(grey):
    batches = list(loader(grey[:100]))
    iterator = iter(loader(grey[:100]))
    for want in batches:
        torch.rand(17)
        assert torch.equal(next(iterator), want)


def test_batches_and_processes_have_noise_of_their_own():
    images = torch.full((64, 1, 8, 8), 128, dtype=torch.uint8)
    first, second = loader(images)
    assert not torch.equal(first, second)
    shares = [next(iter(loader(images, rank=r, world_size=2))) for r in (0, 1)]
    assert not torch.equal(*shares)


def test_an_epoch_presents_every_image_once():
    images = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1)
    seen = (epoch(images, 2, binarization="none") * 255).round().flatten().sort().values
    assert seen.tolist() == list(range(100))
    assert len(loader(images)) == 4 == len(list(loader(images)))
    assert [len(x) for x in loader(images)] == [32, 32, 32, 4]


def test_processes_share_an_epoch():
    images = torch.arange(101, dtype=torch.uint8).view(101, 1, 1, 1)
    options = {"binarization": "none", "world_size": 2}
    shares = [(epoch(images, 0, rank=r, **options) * 255).round() for r in (0, 1)]
    seen = torch.cat(shares).flatten().tolist()
    assert len(shares[0]) == len(shares[1]) == 50
    assert len(set(seen)) == 100


def test_digits():
    data = DigitsDataModule()
    data.setup()
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [1297, 250, 250]
    x = next(iter(data.loader("train", train=True)))
    assert x.shape == (64, *data.image_shape) and x.dtype == torch.float32
    assert set(x.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("binarization", ["dynamic", "static"])
def test_evaluation_sees_one_draw_whatever_the_batch_size_or_the_run_seed(binarization, split):
    draws = []
    for seed, size in ((0, 250), (1, 7)):
        data = DigitsDataModule(seed=seed, binarization=binarization)
        data.setup()
        draws.append(torch.cat(list(data.loader(split, batch_size=size))))
    assert torch.equal(*draws)
    assert torch.equal(draws[0][:9], next(iter(data.loader(split, batch_size=99, limit=9))))
    other = DigitsDataModule(binarization=binarization, binarization_seed=1)
    other.setup()
    assert not torch.equal(draws[0], torch.cat(list(other.loader(split))))


def test_static_data_are_binary_and_fixed_and_grey_data_are_neither():
    static, none = DigitsDataModule(binarization="static"), DigitsDataModule(binarization="none")
    for data in (static, none):
        data.setup()
    levels = static.splits["train"].unique().tolist()
    assert levels == [0, 255]
    assert len(next(iter(none.loader("train", train=True))).unique()) > 10


@pytest.mark.parametrize(
    "options, words",
    [
        ({"batch_size": 0}, "batch sizes"),
        ({"eval_batch_size": -1}, "batch sizes"),
        ({"binarization": "grey"}, "unknown binarization 'grey'"),
        ({"num_val": 60000}, "num_val"),
    ],
)
def test_bad_options_say_so(options, words):
    with pytest.raises(ValueError, match=words):
        MNISTDataModule(**options)


def test_mnist(mnist_dir, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(mnist_dir))
    for num_val, sizes in ((10000, [50000, 10000, 10000]), (0, [60000, 0, 10000])):
        data = MNISTDataModule(num_val=num_val, binarization="none")
        data.prepare_data()
        data.setup()
        assert [len(data.splits[s]) for s in ("train", "val", "test")] == sizes
    mean = data.splits["train"].float().mean() / 255
    assert mean.item() == pytest.approx(0.1307, abs=5e-5)  # the figure everyone normalises by
    assert data.val_dataloader() == []


def test_mnist_is_read_from_gz_and_unpacked_files_and_nothing_is_written(
    mnist_dir, monkeypatch, tmp_path
):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    name = "t10k-images-idx3-ubyte"
    source = mnist_dir / "MNIST" / "raw" / f"{name}.gz"
    if not source.exists():
        pytest.skip("no packed MNIST at hand")
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    with gzip.open(source) as packed:
        (raw / name).write_bytes(packed.read())
    unpacked = MNIST.images(train=False, download=False)
    (raw / name).unlink()
    shutil.copy(source, raw)
    raw.chmod(0o500)
    assert torch.equal(MNIST.images(train=False, download=False), unpacked)
    assert [p.name for p in raw.iterdir()] == [f"{name}.gz"]
    raw.chmod(0o700)


@pytest.mark.parametrize("content", [b"", b"not gzip", b"\x1f\x8b\x08truncated"])
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_a_damaged_file_is_named(tmp_path, monkeypatch, content, suffix):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    path = tmp_path / "MNIST" / "raw" / f"train-images-idx3-ubyte{suffix}"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path.name} is not MNIST's file"):
        MNIST.images(train=True)


@pytest.mark.parametrize("files", [MNIST, FASHION_MNIST, KMNIST], ids=lambda files: files.title)
def test_checksums_are_those_of_torchvision(files):
    theirs = dict(getattr(torchvision.datasets, files.title).resources)
    packed = {name: md5 for name, md5 in files.md5.items() if name.endswith(".gz")}
    assert packed == theirs


def test_checksums_of_archives_are_those_of_torchvision():
    assert emnist("letters").md5["gzip.zip"] == torchvision.datasets.EMNIST.md5
    cifar = torchvision.datasets.CIFAR10
    assert dict(cifar.train_list + cifar.test_list) == CIFAR
    theirs = torchvision.datasets.Omniglot.zips_md5
    assert theirs.items() <= OMNIGLOT.items()


def test_missing_data_name_the_variable_and_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))

    def no_network(*args, **kwargs):
        raise RuntimeError("Error downloading x:\nno network")

    monkeypatch.setattr("torchvision.datasets.MNIST", no_network)
    with pytest.raises(FileNotFoundError, match="VAE_DATA_DIR") as error:
        MNIST.images(train=True)
    assert str(tmp_path) in str(error.value) and "no network" in str(error.value)


def test_data_are_in_the_clone_or_where_one_is_and_never_among_installed_packages(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("VAE_DATA_DIR", " ")  # as if unset
    monkeypatch.chdir(tmp_path)
    assert data_dir() == Path(vae.data.folder.__file__).parents[2] / "data"  # this is a clone
    monkeypatch.setattr(vae.data.folder, "PROJECT", tmp_path / "lib" / "site-packages")
    assert data_dir() == tmp_path / "data"
    monkeypatch.setenv("VAE_DATA_DIR", "~/sets")
    assert data_dir() == Path.home() / "sets"


def test_the_arguments_that_all_share_are_documented_once_and_seen_in_each_help(capsys):
    parser = jsonargparse.ArgumentParser()
    parser.add_subclass_arguments(ImageDataModule, "data")
    for name in ("MNISTDataModule", "DigitsDataModule"):
        with pytest.raises(SystemExit):
            parser.parse_args([f"--data.help=vae.{name}"])
        text = " ".join(capsys.readouterr().out.split())
        assert "The seed of the order of training images" in text
        assert "Optimiser steps in one step of the Lightning loop" in text
        assert ("How many of the 60,000" in text) == (name == "MNISTDataModule")


def test_hyper_parameters_hold_every_argument():
    shared = {"batch_size", "eval_batch_size", "binarization", "seed", "binarization_seed"}
    shared |= {"steps_per_batch"}
    assert set(DigitsDataModule().hparams) == shared
    assert MNISTDataModule(num_val=400, seed=3).hparams["num_val"] == 400
    assert set(MNISTDataModule().hparams) == shared | {"num_val"}
