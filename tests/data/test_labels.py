"""Labels stand beside the images that they are of, in every split and by every kind of data module."""

import gzip

import pytest
import torch
from lightning.pytorch import LightningDataModule
from plain_digits import PlainDigits
from sklearn.datasets import load_digits

from vae.data.batch import DataError
from vae.data.digits import DigitsDataModule
from vae.data.idx_files import read_idx
from vae.data.idx_sets import MNIST
from vae.data.labels import labelled_batches, labels_in
from vae.data.mnist import MNISTDataModule
from vae.data.module import ImageDataModule
from vae.data.source import images_of

FILE = load_digits()
MEANS = [torch.tensor(FILE.data[FILE.target == c].mean(0) / 16).float() for c in range(10)]


def of_the_file(images):
    """The labels that scikit-learn's file has beside grey images (N, 1, 8, 8) in [0, 1]."""
    rows = (torch.from_numpy(FILE.images).flatten(1) * (255 / 16)).round() / 255
    same = torch.cdist(images.double().flatten(1), rows.double()) < 1e-4
    assert (same.sum(1) == 1).all()
    return torch.from_numpy(FILE.target)[same.double().argmax(1)]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_labels_of_the_digits_are_those_of_their_file(split):
    data = DigitsDataModule(binarization="none")
    data.setup()
    pairs = list(labelled_batches(data, split, batch_size=100))
    x, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    assert len(x) == data.count(split) and labels.dtype == torch.int64
    assert torch.equal(labels, of_the_file(x))
    assert torch.equal(data.labels(split, 7), labels[:7])


@pytest.mark.parametrize("binarization", ["dynamic", "static"])
def test_binarisation_moves_no_label(binarization):
    grey = DigitsDataModule(binarization="none")
    binary = DigitsDataModule(binarization=binarization, seed=3)
    for data in (grey, binary):
        data.setup()
    assert torch.equal(binary.labels("train"), grey.labels("train"))
    pairs = zip(
        binary.loader("train", batch_size=99), grey.loader("train", batch_size=99), strict=True
    )
    # a pixel is drawn with its grey level as probability: 1 where that is 1
    assert all((x[level == 1] == 1).all() for x, level in pairs)


class Labelled(PlainDigits):
    """Serves the file's labels, drawn as the images are, and keeps the images that it serves."""

    kind = staticmethod(lambda images: of_the_file(images))

    def _read(self, examples):
        images = torch.stack([image for image, _ in examples])
        return super()._read(examples)[0], self.kind(images)


@pytest.mark.parametrize("options", [{}, {"noisy": True}, {"own_generator": True}])
def test_labels_of_a_plain_module_are_read_again_in_the_order_of_its_images(options):
    source = images_of(Labelled(**options))
    for split in ("train", "val", "test"):
        torch.manual_seed(len(split))  # the order follows from the split alone
        pairs = list(labelled_batches(source, split, batch_size=50, limit=120))
        assert [len(x) for x, _ in pairs] == [50, 50, 20]
        x, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        if not options.get("noisy"):
            assert torch.equal(labels, of_the_file(x))
        else:  # pixels were drawn: most are nearest to the mean of their class
            means = torch.stack(MEANS)
            nearest = torch.cdist(x.flatten(1), means).argmin(1)
            assert (nearest == labels).float().mean() > 0.6
    assert torch.equal(source.labels("train", 30), source.labels("train")[:30])


def test_transfer_hooks_that_turn_a_batch_round_turn_its_labels_round():
    class Turned(Labelled):
        def on_after_batch_transfer(self, batch, _):
            return [part.flip(0) for part in batch]

    source = images_of(Turned())
    x = torch.cat(list(source.loader("val")))
    assert torch.equal(source.labels("val"), of_the_file(x))


@pytest.mark.parametrize(
    "kind",
    [
        lambda images: torch.rand(len(images)),
        lambda images: torch.ones(len(images), 3, dtype=torch.long),
        lambda images: ["a"] * len(images),
        lambda images: torch.tensor(3),
    ],
    ids=["floats", "several", "words", "one for all"],
)
def test_other_labels_than_classes_are_none(kind):
    data = Labelled()
    data.kind = kind
    source = images_of(data)
    assert source.labels("val") is None
    (x, labels), *_ = labelled_batches(source, "val")
    assert len(x) == 64 and labels is None


def test_a_label_is_a_whole_number_an_image():
    x = torch.rand(3, 1, 2, 2)
    assert labels_in((x, torch.tensor([True, False, True]))).tolist() == [1, 0, 1]
    assert labels_in([x, torch.tensor([[4], [5], [6]], dtype=torch.uint8)]).tolist() == [4, 5, 6]
    assert labels_in(x) is None and labels_in((x,)) is None


def test_a_module_without_labels_or_without_a_split_has_none():
    class Alone(LightningDataModule):
        def train_dataloader(self):
            return [torch.rand(4, 1, 8, 8)]

    source = images_of(Alone())
    assert source.labels("train") is None and source.labels("test") is None


class Own(ImageDataModule):
    image_shape = (1, 2, 2)
    classes = {"train": torch.arange(6), "test": torch.tensor([7, 8], dtype=torch.uint8)}

    def load(self):
        return {"train": torch.zeros(6, 1, 2, 2).byte(), "test": torch.zeros(2, 1, 2, 2).byte()}

    def load_labels(self):
        return self.classes


def test_a_module_of_ones_own_may_have_labels():
    data = Own()
    data.setup()
    assert data.labels("test").tolist() == [7, 8] and data.labels("test").dtype == torch.int64
    assert data.labels("val") is None
    other = Own()
    other.classes = None
    other.share(data)
    assert other.labels("train", 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "classes, words",
    [
        ({"train": torch.arange(5)}, r"'train' with shape \(5,\), not \(6,\)"),
        ({"train": torch.ones(6, 2).long()}, r"'train' with shape \(6, 2\)"),
        ({"train": torch.rand(6)}, "returns torch.float32 for 'train', not an int64 tensor"),
        ({"train": [1] * 6}, "returns list for 'train'"),
        (torch.arange(6), "load_labels returns Tensor, no dict"),
    ],
)
def test_labels_of_ones_own_that_do_not_fit_are_one_line(classes, words):
    data = Own()
    data.classes = classes
    data.setup()
    assert len(next(iter(data.loader("train", train=True)))) == 6  # which needs none
    with pytest.raises(DataError, match=words):
        data.labels("train")


def test_processes_have_the_labels_of_their_images():
    class Trainer:
        world_size, global_rank, overfit_batches, current_epoch = 2, 1, 0, 0
        strategy = type("Strategy", (), {"root_device": torch.device("cpu")})

    data = DigitsDataModule(binarization="none")
    data.setup()
    data.trainer = Trainer
    x = torch.cat(list(data.loader("test", limit=51)))
    assert torch.equal(data.labels("test", 51), of_the_file(x)) and len(x) == 25


# MNIST ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_val", [400, 0])
def test_labels_of_mnist_are_those_of_their_images(num_val, mnist_dir, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(mnist_dir))
    if not any((mnist_dir / "MNIST" / "raw").glob("train-labels*")):
        pytest.skip("no labels beside MNIST")
    data = MNISTDataModule(num_val=num_val, binarization="none")
    data.setup()
    assert data.labels("test", 10).tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert data.labels("train", 10).tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    x, labels = data.splits["train"][:5000].flatten(1).float(), data.labels("train", 5000)
    means = torch.stack([x[labels == c].mean(0) for c in range(10)])
    for split in ("val", "test") if num_val else ("test",):
        x = data.splits[split][:2000].flatten(1).float()
        nearest = torch.cdist(x, means).argmin(1)
        right = (nearest == data.labels(split, 2000)).float().mean()
        assert right > 0.7  # 0.8; a tenth if they were those of other images
    assert num_val or data.labels("val").shape == (0,)


def test_mnist_without_labels_is_trained_on_and_says_so_where_they_are_asked_for(
    mnist_dir, monkeypatch, tmp_path
):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (mnist_dir / "MNIST" / "raw").glob("*-images-*"):
        (raw / path.name).symlink_to(path)
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    data = MNISTDataModule()
    data.prepare_data()
    data.setup()
    assert len(next(iter(data.loader("train", train=True)))) == 128
    with pytest.raises(FileNotFoundError, match="MNIST's labels are not in .*/MNIST/raw: put"):
        data.labels("test")


def idx(magic, *shape):
    return b"".join(n.to_bytes(4, "big") for n in (magic, *shape))


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "it is empty"),
        (idx(2049, 4)[:-1], "it is cut short"),
        (idx(2051, 2, 1, 1) + bytes(2), "its magic number is 2051, not 2049: it holds images"),
        (idx(2049, 60000) + bytes(59999), r"wrong length for labels of shape \(60000,\)"),
        (idx(2049, 3) + bytes(3), r"it holds labels of shape \(3,\)"),
        (idx(2049, 60000) + bytes(60000), "wrong checksum"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_file_of_labels_is_named(content, words, packed, monkeypatch, tmp_path):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    path = tmp_path / "MNIST" / "raw" / ("train-labels-idx1-ubyte" + ".gz" * packed)
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(ValueError, match=f"{path.name} is not MNIST's file .{words}"):
        MNIST.labels(train=True)


def test_labels_of_an_idx_file():
    assert read_idx(idx(2049, 3) + b"\x05\x00\x04", 2049).tolist() == [5, 0, 4]
