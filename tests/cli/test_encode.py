"""``vae encode``: what is in the file, in which order, and what is left where it cannot be written."""

import json

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import vae
from vae.cli import encode
from vae.run.npz import NpzWriter


def encoded(run, path, *words):
    encode.main([str(run), "--output", str(path), *words], "vae encode")
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file if name != "about"} | {
            "about": json.loads(str(file["about"]))
        }


@pytest.mark.parametrize("name", ["gaussian", "gumbel"])
def test_codes_are_those_of_the_images_in_their_order(name, trained_run, tmp_path, capsys):
    run = trained_run(name)
    found = encoded(run, tmp_path / "new" / "codes.npz", "--split", "val", "--batch_size", "99")
    model, data = vae.load(run).hard, vae.DigitsDataModule()
    data.setup()
    x = torch.cat(list(data.loader("val")))
    q = model.posterior(x)
    assert torch.allclose(found["mean"], q.mean, atol=1e-5) and len(x) == 250
    parameters = {"gaussian": {"loc", "scale"}, "gumbel": {"logits"}}[name]
    assert found.keys() == {"z", "code", "mean", "labels", "about", *parameters}
    for each in parameters:
        assert torch.allclose(found[each], getattr(q.base_dist, each), atol=1e-5)
    assert torch.allclose(found["code"], model.latent.code(found["z"]))
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    labels = torch.from_numpy(load_digits().target)[order]
    assert torch.equal(found["labels"], labels[1297:1547])
    about = found["about"]
    assert about["images"] == 250 and about["split"] == "val" and about["seed"] == 0
    assert about["binarization"] == "dynamic" and about["step"] > 0
    assert about["posterior"] == f"Independent({type(q.base_dist).__name__}, 1)"
    said = capsys.readouterr().out
    assert "250 val images, dynamic binarisation, seed 0" in said and "  labels   (250)" in said
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["codes.npz"]


def test_samples_follow_from_the_seed_alone(trained_run, tmp_path):
    run = trained_run("gaussian")
    one = encoded(run, tmp_path / "a.npz", "--limit", "60")
    torch.manual_seed(9)
    assert torch.equal(encoded(run, tmp_path / "b.npz", "--limit", "60")["z"], one["z"])
    other = encoded(run, tmp_path / "a.npz", "--limit", "60", "--seed", "1")  # in its place
    assert not torch.equal(other["z"], one["z"]) and torch.equal(other["mean"], one["mean"])
    spread = (one["z"] - one["loc"]) / one["scale"]  # 180 standard normal numbers
    assert abs(spread.mean()) < 0.4 and abs(spread.std() - 1) < 0.3  # 5 standard errors
    parts = [
        encoded(run, tmp_path / "c.npz", "--batch_size", "20")["z"][i::20][:12] for i in range(3)
    ]
    assert len({tuple(row.flatten().tolist()) for part in parts for row in part}) == 36


def test_a_file_has_the_name_of_what_it_holds(trained_run, tmp_path, monkeypatch):
    monkeypatch.setattr(encode, "folder_of", lambda path: tmp_path)
    for words in ([], ["--limit", "20"], ["--split", "train", "--limit", "99999"]):
        encode.main([str(trained_run("gaussian")), *words], "vae encode")
    names = {"codes-test.npz", "codes-test-20-images.npz", "codes-train.npz"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_labels_that_are_not_there_are_left_out_in_one_line(
    trained_run, tmp_path, monkeypatch, capsys
):
    def missing(self):
        raise FileNotFoundError("no labels in there")

    for load_labels, words in ((missing, "no labels in there"), (lambda self: {}, "have none")):
        monkeypatch.setattr("vae.data.images.digits.Digits.load_labels", load_labels)
        found = encoded(trained_run("gaussian"), tmp_path / "x.npz", "--limit", "3")
        assert "labels" not in found and len(found["z"]) == 3
        (line,) = (s for s in capsys.readouterr().out.splitlines() if "left out" in s)
        assert line.startswith("labels are left out: ") and words in line


# The file ------------------------------------------------------------------------------------


def test_batches_are_one_array(tmp_path):
    with NpzWriter(tmp_path / "x.npz") as file:
        file.append({"a": np.arange(6.0).reshape(3, 2), "b": np.arange(3), "c": np.ones((3, 0))})
        file.append({"a": np.full((1, 2), 9.0), "b": np.array([7]), "d": np.ones(1)})
        file.about = "ä"
    found = np.load(tmp_path / "x.npz", allow_pickle=False)
    assert set(found) == {"a", "b", "about"} and file.dropped == {"c", "d"}
    assert found["a"].tolist() == [[0, 1], [2, 3], [4, 5], [9, 9]] and str(found["about"]) == "ä"
    assert found["b"].tolist() == [0, 1, 2, 7] and found["b"].dtype == np.int64


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_is_cut_short_leaves_the_file_that_was_there(error, tmp_path):
    path = tmp_path / "x.npz"
    with NpzWriter(path) as file:
        file.append({"a": np.zeros(1)})
    with pytest.raises((KeyboardInterrupt, OSError)), NpzWriter(path) as file:
        file.append({"a": np.ones(5)})
        raise error
    assert np.load(path)["a"].tolist() == [0] and list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_at_the_end_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with (
        pytest.raises(OSError, match="cannot write .*x.npz .No space left"),
        NpzWriter(path) as file,
    ):
        file.append({"a": np.ones(5)})
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_shape_are_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="a has rows of float64"),
        NpzWriter(tmp_path / "x.npz") as f,
    ):
        f.append({"a": np.ones((2, 3))})
        f.append({"a": np.ones((2, 4))})


def test_another_file_is_not_replaced(trained_run, tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x=np.ones(3))
    for target, words in (
        (path, "is there, and holds other arrays"),
        (tmp_path / "codes", "does not end in .npz"),
        (tmp_path / "codes.json", "does not end in .npz"),
    ):
        with pytest.raises(ValueError, match=words):
            encode.encode(str(trained_run("gaussian")), str(target))
    assert list(tmp_path.iterdir()) == [path] and np.load(path)["x"].tolist() == [1, 1, 1]
