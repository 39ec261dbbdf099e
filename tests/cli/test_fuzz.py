"""Files with damaged or hostile contents: they load, or a ValueError names the file; nothing else,
and never does code run."""

import gzip
import hashlib
import io
import json
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from bad_files import TRAIN, Canary, idx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small import MODULES, fit
from wandb.proto import wandb_internal_pb2 as pb

import vae
from vae.data.idx_files import read_idx
from vae.data.idx_sets import MNIST
from vae.data.load import load_data
from vae.models.checkpoint import read_checkpoint
from vae.run.atomic import PREVIOUS, AtomicCheckpointIO
from vae.run.checkpoint import load
from vae.run.folder import new_run
from vae.run.metrics import JSONLLogger
from vae.run.state import find_last
from vae.run.wandb import RunLogger
from vae.run.wandb_file import read_history, rows_sent

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.e2e  # in seconds each


def examples(fast, slow):
    """How many inputs: the test runs with few, and, marked slow, with many."""
    return pytest.mark.parametrize("count", [fast, pytest.param(slow, marks=pytest.mark.slow)])


def search(count, *strategies):
    """Calls a function with so many inputs, always the same."""

    def decorate(function):
        checks = list(HealthCheck)
        options = {"deadline": None, "database": None, "suppress_health_check": checks}
        settings(max_examples=count, derandomize=True, **options)(given(*strategies)(function))()

    return decorate


def damaged(whole, most=8):
    """Bytes with bits turned, a part cut out, doubled, overwritten or put in, or an end cut off."""
    place = st.integers(0, max(0, len(whole) - 1))

    def turn(bits):
        content = bytearray(whole)
        for position, bit in bits:
            content[position] ^= 1 << bit
        return bytes(content)

    def splice(start, length, put):
        return whole[:start] + put + whole[start + length :]

    lengths, put = st.integers(0, 40), st.binary(max_size=most)
    return st.one_of(
        st.lists(st.tuples(place, st.integers(0, 7)), min_size=1, max_size=most).map(turn),
        place.map(lambda end: whole[:end]),
        st.builds(splice, place, lengths, put),
        st.builds(lambda a, b, n: splice(a, 0, whole[b : b + n]), place, place, lengths),
    )


PLAIN = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3000),
        st.just(10**30),
        st.floats(allow_subnormal=False),  # another test may flush them
        st.text(max_size=5),
        st.binary(max_size=5),
        st.builds(lambda n: torch.zeros(n), st.integers(0, 3)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A real checkpoint's bytes."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_RUNS_DIR", str(folder))
        trainer = fit(MODULES["gaussian"](), new_run("t"), steps=3, plugins=[AtomicCheckpointIO()])
        trainer.save_checkpoint(folder / "x.ckpt")
    return (folder / "x.ckpt").read_bytes()


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Asserts that a checkpoint with some content loads, or that what is raised names it."""
    monkeypatch.chdir(tmp_path)  # where the canary would be
    path = tmp_path / "damaged.ckpt"

    def read(content):
        path.write_bytes(content)
        loaded = 0
        for call in (load, read_checkpoint, find_last):
            try:
                call(path)
                loaded += 1
            except (ValueError, FileNotFoundError) as error:
                assert path.name in str(error) and len(str(error)) < 2000
        assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [path.name]
        return loaded

    return read


def saved(value, packed=True):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=packed)
    return file.getvalue()


def repacked(whole, pickled):
    """A checkpoint with another pickle, and right checksums."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickled if name.endswith("data.pkl") else old.read(name))
    return file.getvalue()


@examples(100, 5000)
def test_damaged_checkpoints(count, whole, check):
    assert check(whole) == 3

    @search(count, damaged(whole))
    def _(content):
        check(content)


@examples(100, 5000)
def test_checkpoints_with_a_damaged_pickle_and_right_checksums(count, whole, check):
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        (name,) = (name for name in file.namelist() if name.endswith("data.pkl"))
        original = file.read(name)
    assert check(repacked(whole, original)) == 3

    @search(count, damaged(original))
    def _(content):
        check(repacked(whole, content))


@examples(30, 3000)
def test_checkpoints_with_other_values(count, whole, check, monkeypatch, tmp_path):
    monkeypatch.setattr(vae.DigitsDataModule, "setup", lambda self: None)
    contents = torch.load(io.BytesIO(whole), weights_only=True)
    inner = [(k, i) for k in ("vae", "hyper_parameters", "state_dict") for i in contents[k]]
    inner += [("datamodule_hyper_parameters", i) for i in contents["datamodule_hyper_parameters"]]
    places = st.sampled_from([(k,) for k in contents] + inner)

    @search(count, places, PLAIN)
    def _(place, value):
        changed = {k: dict(v) if isinstance(v, dict) else v for k, v in contents.items()}
        target = changed[place[0]] if len(place) == 2 else changed
        target[place[-1]] = value
        check(saved(changed))
        try:
            read = read_checkpoint(tmp_path / "damaged.ckpt")
        except ValueError:
            return  # it was refused
        try:
            load_data(read)
        except ValueError as error:
            assert str(error).startswith("the checkpoint")


@examples(100, 3000)
def test_random_bytes_zips_and_pickles(count, check):
    member = st.dictionaries(st.text(max_size=8), st.binary(max_size=50), max_size=4)

    def zipped(members):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members.items():
                archive.writestr(name.replace("\0", "") or "archive/data.pkl", content)
        return file.getvalue()

    pickled = st.builds(lambda v, p: pickle.dumps(v, protocol=p), PLAIN, st.integers(0, 5))
    packed = st.builds(saved, PLAIN, st.booleans())

    @search(count, st.one_of(st.binary(max_size=200), member.map(zipped), pickled, packed))
    def _(content):
        assert check(content) == 0


@examples(50, 1000)
def test_code_never_runs(count, whole, check):
    contents = torch.load(io.BytesIO(whole), weights_only=True)
    keys = st.sampled_from(sorted(contents))
    ways = st.sampled_from(["value", "key", "bare", "unpacked", "within"])

    @search(count, keys, ways, st.integers(0, 5), PLAIN)
    def _(key, way, protocol, beside):
        values = {
            "value": contents | {key: Canary()},
            "key": contents | {key: {("tuple", Canary()): beside}},
            "within": [beside, {"x": (Canary(), beside)}],
        }
        value = values.get(way, Canary())
        packed = saved(value, way != "unpacked")
        assert check(pickle.dumps(value, protocol) if way == "bare" else packed) == 0


@examples(30, 500)
def test_a_damaged_last_checkpoint_is_no_loss(count, whole, tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / PREVIOUS).write_bytes(whole)

    @search(count, damaged(whole))
    def _(content):
        (folder / "last.ckpt").write_bytes(content)
        assert find_last(tmp_path / "run")[1]["global_step"] == 3


@examples(300, 10000)
def test_idx_files(count):
    good = idx(2051, 3, 4, 5) + bytes(range(60))
    assert torch.equal(read_idx(good).flatten(), torch.arange(60, dtype=torch.uint8))

    @search(count, damaged(good) | st.binary(max_size=100))
    def _(content):
        try:
            images = read_idx(content)
        except ValueError as error:
            assert str(error)
        else:
            assert images.numpy().tobytes() == content[16:] and images.dim() == 3


@examples(60, 1000)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_any_change_of_a_data_file_is_found(suffix, count, tmp_path, monkeypatch):
    name = "t10k-images-idx3-ubyte"
    good = idx(2051, 10000, 28, 28) + bytes(10000 * 28 * 28)
    good = gzip.compress(good, mtime=0) if suffix else good
    md5 = hashlib.md5(good).hexdigest()
    monkeypatch.setitem(MNIST.md5, name + suffix, md5)
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    path = tmp_path / "MNIST" / "raw" / (name + suffix)
    path.parent.mkdir(parents=True)
    path.write_bytes(good)
    assert MNIST.images(train=False, download=False).shape == (10000, 28, 28)

    @search(count, damaged(good))
    def _(content):
        path.write_bytes(content)
        if content == good:
            return
        with pytest.raises(ValueError, match=f"{path.name} is not MNIST's file"):
            MNIST.images(train=False, download=False)


def history_file(rows):
    """A ``.wandb`` file, and where its records start."""
    content, starts = b":W&B\x1d\xbe\x00", []
    for row in rows:
        record = pb.Record()
        for key, value in row.items():
            record.history.item.add(key=key, value_json=value)
        payload = record.SerializeToString()
        checksum = zlib.crc32(payload, zlib.crc32(b"\x01"))
        starts.append(len(content))
        content += struct.pack("<IHB", checksum, len(payload), 1) + payload
    return content, starts


@examples(200, 5000)
def test_damaged_wandb_files(count, tmp_path):
    path = tmp_path / "wandb" / "offline-run-x" / "run.wandb"
    path.parent.mkdir(parents=True)
    whole, _ = history_file([{"row": str(i), "a": "0.5"} for i in range(50)])
    rows = [{"row": i, "a": 0.5} for i in range(50)]
    path.write_bytes(whole)
    assert list(read_history(path)) == rows and rows_sent(tmp_path) == 50

    @search(count, damaged(whole))
    def _(content):
        path.write_bytes(content)
        found = list(read_history(path))
        position = sum(a == b for a, b in zip(found, rows, strict=False))
        assert all(row in rows for row in found) and position <= 50  # nothing that was not logged
        assert rows_sent(tmp_path) <= 50


@examples(100, 2000)
def test_wandb_files_with_other_values_and_right_checksums(count, tmp_path):
    path = tmp_path / "wandb" / "offline-run-x" / "run.wandb"
    path.parent.mkdir(parents=True)
    values = st.text(max_size=8) | st.integers().map(str) | st.just("[" * 20_000)

    @search(
        count, st.lists(st.dictionaries(st.sampled_from(["row", "a", ""]), values), max_size=4)
    )
    def _(rows):
        path.write_bytes(history_file(rows)[0])
        assert len(list(read_history(path))) <= len(rows)
        assert rows_sent(tmp_path) >= 0


class Page:
    """What W&B is sent."""

    def __init__(self):
        self.rows = []

    def log(self, row):
        self.rows.append(row)


@examples(100, 3000)
def test_metrics_with_garbage(count, tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = b"".join(
        json.dumps({"step": i, "time": 0.0, "a": 1.0}).encode() + b"\n" for i in range(5)
    )

    @search(count, damaged(lines) | st.binary(max_size=80), st.none() | st.integers(0, 7))
    def _(content, rows):
        path.write_bytes(content)
        logger = JSONLLogger(tmp_path, rows)
        assert rows is None or logger.rows <= rows
        kept = logger.rows
        logger.log_metrics({"a": 2.0}, 9)
        found = path.read_bytes().split(b"\n")
        assert json.loads(found[-2])["a"] == 2.0 and found[-1] == b"" and len(found) == kept + 2
        page = Page()
        RunLogger(logger.rows, 0, experiment=page, save_dir=str(tmp_path)).resend(path)
        assert len(page.rows) <= logger.rows and page.rows[-1]["row"] == kept


@examples(25, 1500)
def test_configurations(count, tmp_path, monkeypatch):
    from bad_input import run

    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    whole = (ROOT / "experiments" / "configs" / "digits.yaml").read_bytes()
    line = TRAIN.replace("experiments/configs/digits.yaml", "x.yaml")
    assert "it would train" in run(TRAIN, tmp_path).err

    @search(count, damaged(whole, 3) | st.binary(max_size=40))
    def _(content):
        (tmp_path / "x.yaml").write_bytes(content)
        code, _, err = run(line, tmp_path)
        if "it would train" not in err:
            assert code == 2 and err.count("\n") == 1 and err.startswith("error: "), err
