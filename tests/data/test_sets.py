"""Data sets that cannot be downloaded in a test: their readers, on small files of the same format."""

import gzip
import io
import os
import pickle
import re
import tarfile
from hashlib import md5, sha1
from pathlib import Path
from zipfile import ZipFile

import numpy
import pytest
import torch
from scipy.io import savemat

import vae
from vae.data.description import describe_data
from vae.data.idx_files import IdxFiles
from vae.data.idx_sets import EMNIST_CLASSES, EMNIST_COUNTS
from vae.data.images import binarized_mnist, burda_omniglot, cifar10, emnist, mnist, omniglot
from vae.data.load import data_modules, without_lightning
from vae.data.source import ImageSource
from vae.models.trust import resolve


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "sets"))
    return tmp_path / "sets"


@pytest.fixture
def no_network(monkeypatch):
    """Downloads write half a file, and fail."""

    def half(root, *_, **__):
        Path(root).mkdir(parents=True, exist_ok=True)
        (Path(root) / "half").write_bytes(b"half")
        raise OSError("no network")

    def of_a_url(url, root, *_, **__):
        half(root)

    for name in ("FashionMNIST", "KMNIST", "EMNIST", "CIFAR10"):
        monkeypatch.setattr(f"torchvision.datasets.{name}", half)
    monkeypatch.setattr("torchvision.datasets.utils.download_url", of_a_url)


@pytest.mark.parametrize("name", data_modules())
def test_the_images_of_each_data_module_are_had_without_lightning(name):
    module = getattr(vae, name)
    source = resolve(without_lightning(f"vae.{name}"), ImageSource, "a test")
    assert issubclass(module, source) and not hasattr(source, "save_hyperparameters")
    assert module.__doc__ and "to train on" in module.__doc__.splitlines()[0]


def test_other_data_modules_are_had_with_lightning():
    names = ("mine.Threes", "vae.ImageDataModule", "MNISTDataModule", "vae.data.mnist.MNIST")
    assert [without_lightning(name) for name in names] == [None] * 4


# idx files -----------------------------------------------------------------------------------


def idx(rows):
    magic = 2051 if rows.dim() == 3 else 2049
    header = b"".join(n.to_bytes(4, "big") for n in (magic, *rows.shape))
    return header + rows.numpy().tobytes()


def small(title, names=("train", "t10k"), **options):
    """Files of 12 and 5 images, and what they hold."""
    images = [torch.randint(256, (n, 28, 28), dtype=torch.uint8) for n in (12, 5)]
    labels = [torch.arange(1, n + 1, dtype=torch.uint8) for n in (12, 5)]
    content = {}
    for name, x, y in zip(names, images, labels, strict=True):
        content[f"{name}-images-idx3-ubyte.gz"] = gzip.compress(idx(x))
        content[f"{name}-labels-idx1-ubyte.gz"] = gzip.compress(idx(y))
    sums = {name: md5(x).hexdigest() for name, x in content.items()}
    return IdxFiles(title, (12, 5), sums, names, **options), content, images, labels


@pytest.mark.parametrize("kind", [mnist.FashionMNIST, mnist.KMNIST])
def test_sets_in_mnists_format_are_read_and_verified(kind, folder, monkeypatch):
    files, content, images, labels = small(kind.files.title)
    raw = folder / files.title / "raw"
    raw.mkdir(parents=True)
    for name, packed in content.items():
        (raw / name).write_bytes(packed)
    monkeypatch.setattr(kind, "files", files)
    data = kind(num_val=4, binarization="none")
    data.prepare_data()
    data.setup()
    assert torch.equal(data.splits["train"][:, 0], images[0][:8])
    assert torch.equal(data.splits["val"][:, 0], images[0][8:])
    assert data.labels("test").tolist() == labels[1].tolist()
    assert (
        data.report()
        == f"{files.title} in {folder}: 12 training and 5 test images, verified; with labels"
    )
    (raw / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[1] ^ 1)))
    with pytest.raises(
        ValueError, match=f"t10k-images.* is not {files.title}'s file .wrong check"
    ):
        kind().setup()


@pytest.mark.parametrize("how", ["files", "zip"])
@pytest.mark.parametrize("subset, first", [("letters", 1), ("balanced", 0)])
def test_emnist_stands_upright_and_counts_classes_from_0(how, subset, first, folder, monkeypatch):
    names = (f"emnist-{subset}-train", f"emnist-{subset}-test")
    files, content, images, labels = small("EMNIST", names, archive="gzip.zip", split=subset)
    raw = folder / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    if how == "zip":
        with ZipFile(raw / "gzip.zip", "w") as archive:
            for name, packed in content.items():
                archive.writestr(f"gzip/{name}", packed)
        files.md5["gzip.zip"] = md5((raw / "gzip.zip").read_bytes()).hexdigest()
    else:  # as torchvision unpacks them
        for name, packed in content.items():
            (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress(packed))
    monkeypatch.setattr(emnist, "emnist", lambda subset: files)
    data = emnist.EMNIST(subset, binarization="none")
    data.prepare_data()
    data.setup()
    assert [data.count(s) for s in ("train", "val", "test")] == [7, 5, 5]  # as many as to test
    assert torch.equal(data.splits["train"][:, 0], images[0][:7].transpose(1, 2))
    assert data.labels("train").tolist() == (labels[0][:7] - first).tolist()
    assert ("of the right length, without a checksum" in data.report()) == (how == "files")
    by_class = data.splits["test"][data.labels("test").argsort(), 0]  # mixed, with their labels
    assert torch.equal(by_class, images[1].transpose(1, 2))
    assert data.labels("test").tolist() != (labels[1] - first).tolist()


def test_every_part_of_emnist_has_counts_and_classes():
    assert EMNIST_COUNTS.keys() == EMNIST_CLASSES.keys()
    for subset in EMNIST_COUNTS:
        assert emnist.EMNIST(subset).num_val == EMNIST_COUNTS[subset][1]
    with pytest.raises(ValueError, match="unknown subset 'greek' of EMNIST: choose from letters"):
        emnist.EMNIST("greek")
    with pytest.raises(ValueError, match="num_val must be from 0 to 124799, got 124800"):
        emnist.EMNIST(num_val=124800)


# CIFAR-10 ------------------------------------------------------------------------------------


def cifar_files():
    files = {}
    for number, name in enumerate(cifar10.MD5):
        rows = numpy.random.RandomState(number).randint(0, 256, (4, 3072)).astype(numpy.uint8)
        files[name] = pickle.dumps({"data": rows, "labels": [number, 1, 2, 3]})
    return files


@pytest.mark.parametrize("how", ["folder", "archive"])
def test_cifar10_is_read_in_colour(how, folder, monkeypatch):
    files = cifar_files()
    monkeypatch.setattr(cifar10, "MD5", {n: md5(x).hexdigest() for n, x in files.items()})
    place = folder / cifar10.FOLDER
    place.mkdir(parents=True)
    if how == "folder":
        for name, content in files.items():
            (place / name).write_bytes(content)
    else:
        place.rmdir()
        with tarfile.open(folder / cifar10.ARCHIVE, "w:gz") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    data = cifar10.CIFAR10(num_val=6)
    data.prepare_data()
    data.setup()
    assert [data.count(s) for s in ("train", "val", "test")] == [14, 6, 4]
    first = pickle.loads(files["data_batch_1"])["data"][0]
    x = next(iter(data.loader("train")))[0]
    assert torch.equal((x[2] * 255).round().byte().flatten(), torch.from_numpy(first[2048:]))
    assert data.labels("train", 5).tolist() == [0, 1, 2, 3, 1] and data.labels("test")[0] == 5
    assert not data.is_binary


def test_nothing_is_unpickled_that_was_not_published(folder, monkeypatch):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(folder / "evil"),)

    place = folder / cifar10.FOLDER
    place.mkdir(parents=True)
    for name in cifar10.MD5:
        (place / name).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="data_batch_1 is not CIFAR-10's file .wrong checksum"):
        cifar10.CIFAR10().setup()
    assert not (folder / "evil").exists()


# Binarised MNIST -----------------------------------------------------------------------------


@pytest.fixture
def amat(folder, monkeypatch):
    monkeypatch.setattr(binarized_mnist, "COUNTS", {"train": 5, "val": 3, "test": 2})
    place = folder / "BinarizedMNIST"
    place.mkdir(parents=True)
    pixels = {}
    for split, word in binarized_mnist.FILES.items():
        rows = torch.randint(2, (binarized_mnist.COUNTS[split], 784))
        lines = "\n".join(" ".join(map(str, row)) for row in rows.tolist())
        (place / f"binarized_mnist_{word}.amat").write_text(lines + " \n" * (split == "val"))
        pixels[split] = rows
    return place, pixels


def test_the_shared_draw_of_binarised_mnist_is_read_as_it_is(amat):
    data = vae.BinarizedMNISTDataModule(batch_size=5, seed=3)
    data.prepare_data()
    data.setup()
    for split, rows in amat[1].items():
        assert torch.equal(data.splits[split].flatten(1), rows.byte() * 255)
        assert torch.equal(torch.cat(list(data.loader(split))).flatten(1), rows.float())
    assert data.binarization == "static" and data.is_binary and data.labels("train") is None
    assert "binarization" not in describe_data(data)["init_args"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "it holds 1 rows and 0 pixels, not 2 rows of 784"),
        ("0 1 0.5 1\n", "it holds more than zeros and ones"),
        ("01 1\n", "it holds more than zeros and ones"),
        ("0 1\n" * 784, "it holds 784 rows and 1568 pixels, not 2 rows of 784"),
    ],
)
def test_another_file_is_not_taken_for_binarised_mnist(text, words, amat):
    (amat[0] / "binarized_mnist_test.amat").write_text(text)
    with pytest.raises(ValueError, match=f"test.amat is not Larochelle's file .{words}"):
        binarized_mnist.BinarizedMNIST().setup()


# Omniglot ------------------------------------------------------------------------------------


def test_burdas_omniglot_stands_upright_and_is_split_as_by_its_authors(folder, monkeypatch):
    counts = {"data": 9, "testdata": 4}
    monkeypatch.setattr(burda_omniglot, "COUNTS", counts)
    held = {key: numpy.random.RandomState(0).rand(784, n) for key, n in counts.items()}
    held["target"], held["testtarget"] = numpy.eye(9)[:, :9], numpy.eye(9)[:, 5:]
    folder.mkdir()
    (folder / "OMNIGLOT").mkdir()
    path = folder / "OMNIGLOT" / "chardata.mat"
    savemat(path, held)
    with pytest.raises(ValueError, match="chardata.mat is not Burda's file .wrong checksum"):
        burda_omniglot.BurdaOmniglot(num_val=3).setup()
    content = path.read_bytes()
    blob = sha1(b"blob %d\0" % len(content) + content).hexdigest()
    monkeypatch.setattr(burda_omniglot, "BLOB", blob)
    data = burda_omniglot.BurdaOmniglot(num_val=3, binarization="none")
    data.setup()
    # the authors' code, in NumPy
    theirs = held["data"].T.reshape(-1, 28, 28).reshape((-1, 784), order="F")
    theirs = theirs[numpy.random.RandomState(seed=123).permutation(9)]
    ours = torch.cat([data.splits["train"], data.splits["val"]]).flatten(1).numpy() / 255
    assert numpy.abs(ours - theirs).max() <= 0.5 / 255 + 1e-6
    order = numpy.random.RandomState(123).permutation(9)
    assert data.labels("train").tolist() == order[:6].tolist()
    assert sorted(data.labels("test").tolist()) == [5, 6, 7, 8]


@pytest.fixture(scope="module")
def omniglot_dir():
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    named = os.environ.get("VAE_DATA_DIR")
    for place in (Path(named) if named else shared, shared):
        if any((place / "omniglot").glob("images_background_small1.zip")):
            return place
    pytest.skip("no small set of Omniglot in VAE_DATA_DIR")


def test_the_small_set_of_omniglot(omniglot_dir, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(omniglot_dir))
    data = omniglot.Omniglot("small1", label="character", binarization="none")
    data.prepare_data()
    data.setup()
    assert [data.count(s) for s in ("train", "val", "test")] == [2176, 272, 272]
    assert data.labels("test").bincount().tolist() == [2] * 136  # each character's last drawings
    ink = data.splits["train"].float() / 255
    assert ink.shape[1:] == (1, 28, 28) and 0.07 < ink.mean() < 0.1  # strokes are white
    # a drawing is nearer to the mean of its class than to that of another: labels fit
    means = torch.stack([ink[data.labels("train") == c].mean(0).flatten() for c in range(136)])
    test = data.splits["test"].flatten(1) / 255.0
    assert (torch.cdist(test, means).argmin(1) == data.labels("test")).float().mean() > 0.3


def zipped_drawings(path, drawings):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive:
        for name, pixel in drawings:
            image = Image.new("1", (105, 105), 1)
            image.putpixel(pixel, 0)
            content = io.BytesIO()
            image.save(content, "PNG")
            archive.writestr(f"{path.stem}/{name}.png", content.getvalue())


def drawn(alphabets):
    return [
        (f"{alphabet}/character01/{number:04}_{drawer:02}", (number, drawer))
        for number, alphabet in enumerate(alphabets)
        for drawer in range(1, 21)
    ]


def test_drawings_or_alphabets_are_held_out_and_what_two_sets_share_counts_once(
    folder, monkeypatch
):
    sets = {
        "images_background": drawn(["Greek", "Latin"]),
        "images_evaluation": drawn(["Oriya"]),
        "images_background_small1": drawn(["Greek", "Latin"]),
        "images_background_small2": drawn(["Greek", "Tagalog"]),
    }
    for name, drawings in sets.items():
        zipped_drawings(folder / "omniglot-py" / f"{name}.zip", drawings)
    sums = {n: md5((folder / "omniglot-py" / f"{n}.zip").read_bytes()).hexdigest() for n in sets}
    monkeypatch.setattr(omniglot, "MD5", sums)

    def counts(*arguments, **options):
        data = omniglot.Omniglot(*arguments, size=105, binarization="none", **options)
        data.setup()
        for split in data.splits.values():
            assert (split.flatten(1).sum(1) == 255).all()  # one pixel of ink
        found = {s: data.labels(s).bincount().tolist() for s in data.splits}
        drawers = {
            s: sorted({int(d) for d in (x == 255).nonzero()[:, 2]}) for s, x in data.splits.items()
        }
        return found, drawers

    found, drawers = counts("full")
    assert found == {"train": [16] * 3, "val": [2] * 3, "test": [2] * 3}
    assert drawers == {"train": [*range(1, 17)], "val": [17, 18], "test": [19, 20]}
    found, _ = counts("full", held_out="alphabets")
    assert found == {"train": [18, 18], "val": [2, 2], "test": [0, 0, 20]}
    found, _ = counts("small")
    assert found == {"train": [16] * 3, "val": [2] * 3, "test": [2] * 3}
    (folder / "omniglot-py" / "images_evaluation.zip").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="images_evaluation.zip is not Omniglot's file"):
        omniglot.Omniglot().setup()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"subset": "big"}, "unknown subset 'big' of Omniglot: choose from full, small"),
        ({"label": "drawer"}, "unknown label 'drawer' of Omniglot"),
        ({"size": 106}, "size must be from 1 to 105, got 106"),
        ({"subset": "small", "held_out": "alphabets"}, "alphabets is for the full set"),
    ],
)
def test_bad_options_of_omniglot_say_so(options, words):
    with pytest.raises(ValueError, match=words):
        omniglot.Omniglot(**options)


# What is missing -----------------------------------------------------------------------------

MISSING = {
    "FashionMNISTDataModule": "FashionMNIST/raw",
    "KMNISTDataModule": "KMNIST/raw",
    "EMNISTDataModule": "EMNIST/raw",
    "CIFAR10DataModule": "cifar-10-batches-py",
    "OmniglotDataModule": "omniglot-py",
    "BurdaOmniglotDataModule": "OMNIGLOT",
    "BinarizedMNISTDataModule": "BinarizedMNIST",
}


@pytest.mark.parametrize("there", [True, False], ids=["a folder", "no folder"])
@pytest.mark.parametrize("name", MISSING)
def test_a_failed_download_is_one_line_and_leaves_nothing(name, there, folder, no_network, capsys):
    if there:
        folder.mkdir()
    with pytest.raises(FileNotFoundError) as error:
        getattr(vae, name)().prepare_data()
    said = capsys.readouterr().out
    assert re.fullmatch(r".* is not there: downloading it( \(\d+ MB\))? to (.*)\n", said)
    assert str(folder) in said and ("does not exist yet" in said) != there
    line = str(error.value)
    assert f"is not in {folder / MISSING[name]}; set VAE_DATA_DIR to a folder that holds" in line
    assert line.endswith("(the download failed: no network)") and "\n" not in line
    assert not any(folder.iterdir()) if there else not folder.exists()


def test_a_download_arrives_whole(folder, monkeypatch):
    files, content, images, _ = small("FashionMNIST")

    def served(root, download):
        raw = Path(root) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for name, packed in content.items():
            (raw / name).write_bytes(packed)

    monkeypatch.setattr("torchvision.datasets.FashionMNIST", served)
    monkeypatch.setattr(mnist.FashionMNIST, "files", files)
    data = mnist.FashionMNIST(num_val=0, binarization="none")
    data.prepare_data()
    data.setup()
    assert torch.equal(data.splits["train"][:, 0], images[0])
    assert [path.name for path in folder.iterdir()] == ["FashionMNIST"]
