"""Images of one's own: folders and zips of them, and arrays in files."""

import io
import os
import shutil
from zipfile import ZipFile

import numpy
import pytest
import torch
from PIL import Image

import vae
from vae.data.batch import DataError
from vae.data.description import describe_data
from vae.data.images.array import Array
from vae.data.images.image_folder import ImageFolder


def picture(level, size=(6, 4), mode="RGB"):
    """A picture of one colour, width x height, in a file's bytes."""
    content = io.BytesIO()
    Image.new(mode, size, (level, 0, 0) if mode == "RGB" else level).save(content, "PNG")
    return content.getvalue()


def fill(folder, names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return folder


@pytest.fixture(params=["folder", "zip"])
def kept(request, tmp_path):
    """``kept(names)``: pictures 0, 1, ... of these names, in a folder or a zip."""

    def make(names):
        folder = fill(tmp_path / "photos", names)
        if request.param == "folder":
            return str(folder)
        made = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path, "photos")
        with ZipFile(made, "a") as archive:  # of a Mac
            archive.writestr("__MACOSX/photos/._a.png", b"no image")
        return made

    return make


def levels(data, split):
    """The numbers of the pictures in a split, in its order."""
    return data.splits[split][:, 0, 0, 0].tolist()


def test_without_splits_they_are_fractions_drawn_by_a_seed(kept):
    path = kept([f"{animal}/{n}.png" for animal in ("cat", "dog") for n in range(10)])
    data = ImageFolder(path, val_fraction=0.2, split_seed=1)
    assert data.image_shape == (3, 4, 6)
    data.prepare_data()
    data.setup()
    assert [data.count(s) for s in ("train", "val", "test")] == [14, 4, 2]
    assert sorted(sum((levels(data, s) for s in data.splits), [])) == list(range(20))
    for split in data.splits:
        assert data.labels(split).tolist() == [level // 10 for level in levels(data, split)]
    again, other = ImageFolder(path, val_fraction=0.2, split_seed=1), ImageFolder(path)
    for each in (again, other):
        each.setup()
    assert levels(again, "train") == levels(data, "train") and other.count("val") == 2
    assert sorted(levels(other, "test")) != sorted(levels(data, "test"))
    assert levels(data, "train") != sorted(levels(data, "train"))  # mixed: not class by class


def test_folders_may_be_the_splits(kept):
    names = [f"{s}/{c}/{n}.png" for s in ("train", "validation") for c in "ab" for n in range(4)]
    path = kept(names)
    data = ImageFolder(path, grey=True)
    data.setup()
    assert data.image_shape == (1, 4, 6) and data.splits.keys() == {"train", "val"}
    assert data.count("test") == 0 and data.held_out() == "val"
    labels = torch.cat([data.labels("train"), data.labels("val")])
    assert labels.bincount().tolist() == [8, 8]
    with pytest.raises(ValueError, match="is in splits already: leave out val_fraction"):
        ImageFolder(path, test_fraction=0.5).prepare_data()


def test_pictures_without_folders_have_no_labels(kept):
    data = ImageFolder(kept([f"{n}.png" for n in range(10)]))
    data.setup()
    assert data.count("train") == 8 and data.labels("train") is None


def test_pictures_are_brought_to_one_size_and_made_grey(tmp_path):
    (tmp_path / "wide.png").write_bytes(picture(200, (40, 20)))
    (tmp_path / "high.jpg").write_bytes(picture(100, (30, 90)))
    options = {"val_fraction": 0.0, "test_fraction": 0.0}
    data = ImageFolder(str(tmp_path), size=(8, 5), grey=True, **options)
    data.setup()
    assert data.splits.keys() == {"train"} and data.splits["train"].shape == (2, 1, 8, 5)
    assert sorted(levels(data, "train")) == [30, 60]  # 0.299 of red
    square = ImageFolder(str(tmp_path), size=7, **options)
    square.setup()
    assert square.splits["train"].shape == (2, 3, 7, 7)
    with pytest.raises(
        DataError, match=r"wide.png is 40 x 20 pixels, and the first image 30 x 90"
    ):
        ImageFolder(str(tmp_path), **options).setup()


def refused(folder, words, **options):
    with pytest.raises((DataError, ValueError, FileNotFoundError), match=words) as error:
        data = ImageFolder(str(folder), **options)
        data.prepare_data()
        data.setup()
    assert "\n" not in str(error.value) and "0x" not in str(error.value)


def test_what_is_no_picture_is_one_line(tmp_path):
    refused(tmp_path / "none", "none is not there: path names a folder")
    refused(tmp_path, "holds no images .*.png")
    fill(tmp_path / "a", [f"{n}.png" for n in range(5)])
    (tmp_path / "a" / "b.png").write_bytes(picture(3)[:45])
    refused(tmp_path / "a", "a/b.png is no image that can be read")
    (tmp_path / "a" / "b.png").write_text("<html>")
    refused(tmp_path / "a", "a/b.png is no image that can be read .cannot identify image file")
    deep = Image.fromarray(numpy.full((4, 6), 40000, dtype=numpy.uint16))
    deep.save(tmp_path / "a" / "b.png")
    refused(tmp_path / "a", "b.png is no image that can be read .more than 8 bits a colour")
    (tmp_path / "a" / "b.png").unlink()
    (tmp_path / "a.zip").write_bytes(b"PK no zip")
    refused(tmp_path / "a.zip", "a.zip is neither a folder nor a zip")
    fill(tmp_path / "c", ["train/0.png", "more/1.png"])
    refused(tmp_path / "c", "has a folder train, and .*more/1.png is in no such folder")
    refused(tmp_path / "a", "size must be one or two numbers, 1 or more, got 0", size=0)
    refused(tmp_path / "a", "must not be negative, and leave images to train on", val_fraction=1.0)


# Arrays --------------------------------------------------------------------------------------

SEEDED = torch.Generator().manual_seed(0)
GREY = torch.randint(2, 256, (10, 5, 7), dtype=torch.uint8, generator=SEEDED)
COLOUR = torch.randint(2, 256, (10, 3, 5, 7), dtype=torch.uint8, generator=SEEDED)


def loaded(path, **options):
    data = Array(str(path), **options)
    data.prepare_data()
    data.setup()
    return data


def all_of(data):
    rows = torch.cat(list(data.splits.values()))
    return sorted(rows.flatten(1).tolist())


@pytest.mark.parametrize(
    "x, want",
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (COLOUR, COLOUR),
        (COLOUR.permute(0, 2, 3, 1), COLOUR),
        (COLOUR.double() / 255, COLOUR),
        (GREY > 99, (GREY > 99)[:, None].byte() * 255),
    ],
    ids=["NHW", "N1HW", "NCHW", "NHWC", "floats", "bool"],
)
@pytest.mark.parametrize("suffix", ["npz", "npy", "pt"])
def test_arrays_of_the_usual_shapes_and_types(suffix, x, want, tmp_path):
    path = tmp_path / f"photos.{suffix}"
    labels = torch.arange(10)
    if suffix == "npz":
        numpy.savez(path, images=x.numpy(), labels=labels.numpy())
    elif suffix == "npy":
        numpy.save(path, x.numpy())
    else:
        torch.save({"images": x, "y": labels}, path)
    data = loaded(path)
    assert data.image_shape == tuple(want.shape[1:])
    assert [data.count(s) for s in ("train", "val", "test")] == [8, 1, 1]
    assert all_of(data) == sorted(want.flatten(1).tolist())
    if suffix == "npy":
        assert data.labels("train") is None
    else:
        assert torch.equal(data.splits["train"], want[data.labels("train")])
    assert data.is_binary == (x.dtype == torch.bool)


@pytest.mark.parametrize(
    "image_key, label_key",
    [("x_{}", "y_{}"), ("{}_images", "{}_labels"), ("{}", "labels_{}"), ("own_{}", "kind_{}")],
)
def test_arrays_of_each_split(image_key, label_key, tmp_path):
    path = tmp_path / "sets.npz"
    words = {"train": GREY, "valid": GREY[:3], "test": GREY[:4]}
    held = {image_key.format(word): x.numpy() for word, x in words.items()}
    held |= {label_key.format(w): numpy.arange(len(x))[:, None] for w, x in words.items()}
    numpy.savez(path, **held)
    own = {} if image_key != "own_{}" else {"images": "own_{split}", "labels": "kind_{split}"}
    data = loaded(path, **own)
    assert torch.equal(data.splits["train"][:, 0], GREY) and data.count("val") == 3
    assert data.labels("test").tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="is in splits already: leave out val_fraction"):
        loaded(path, val_fraction=0.3, **own)


def test_a_tensor_alone(tmp_path):
    torch.save(COLOUR, tmp_path / "a.pt")
    assert loaded(tmp_path / "a.pt", test_fraction=0.5).count("test") == 5


@pytest.mark.parametrize(
    "x, options, words",
    [
        (GREY.flatten(1), {}, r"images of shape \(10, 35\): expected \(N, H, W\)"),
        (torch.ones(4, 3, 5, 3), {}, "layout is not plain: give --data.layout NCHW or NHWC"),
        (torch.ones(4, 2, 5, 7), {}, "layout is not plain"),
        (GREY.double(), {}, "images from . to 25.: floats must be in"),
        (torch.full((2, 4, 4), torch.nan), {}, "images from nan to nan"),
        (GREY.long(), {}, "images in int64: store uint8, bool, or floats"),
        ((GREY > 9).byte(), {}, "in uint8 of 0 and 1 alone, where 255 is white"),
        (GREY, {"images": "photos"}, r"no images under photos: it has images \(10, 5, 7\)"),
        (GREY, {"labels": "kinds"}, r"has no kinds: it has images \(10, 5, 7\)"),
        (GREY[:0], {}, "holds no images"),
        (GREY, {"layout": "CHW"}, "unknown layout 'CHW'"),
    ],
)
def test_other_arrays_are_refused_in_one_line(x, options, words, tmp_path):
    path = tmp_path / "a.npz"
    numpy.savez(path, images=x.numpy())
    with pytest.raises((DataError, ValueError), match=words) as error:
        loaded(path, **options).labels("train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.npz", "a.pt", "a.txt"])
def test_what_is_no_file_of_arrays_is_one_line(name, tmp_path):
    with pytest.raises(FileNotFoundError, match="path names a .npz, .npy or .pt file"):
        Array(str(tmp_path / name))
    (tmp_path / name).write_text("nothing")
    with pytest.raises(DataError, match=f"{name} cannot be read: ") as error:
        loaded(tmp_path / name)
    assert "\n" not in str(error.value)


class Evil:
    """What makes a folder where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_not_loaded(tmp_path):
    numpy.save(tmp_path / "a.npy", numpy.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="a.npy cannot be read: Object arrays"):
        loaded(tmp_path / "a.npy")
    torch.save({"images": GREY, "labels": Evil(tmp_path / "evil")}, tmp_path / "a.pt")
    with pytest.raises(DataError, match="a.pt cannot be read: "):
        loaded(tmp_path / "a.pt")
    assert not (tmp_path / "evil").exists()


def test_a_module_says_where_its_files_are_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(fill(tmp_path, ["photos/1.png", "photos/2.png"]))
    data = vae.ImageFolderDataModule("photos")
    assert describe_data(data)["init_args"]["path"] == str(tmp_path / "photos")
