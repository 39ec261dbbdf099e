"""A file is written whole or not at all, whatever interrupts it, and by whomever."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from vae.analysis.images import write_image
from vae.evaluation.answers import Answers
from vae.pictures.style import save
from vae.run.atomic import replace_checkpoint
from vae.run.files import write_json
from vae.run.lock import RunLock
from vae.run.npz import NpzWriter
from vae.whole_files import replace_bytes, replace_text, replacing

ROOT = Path(__file__).parents[1]


def answers(path):
    found = Answers(path.parent, "a", {})
    found.path = path
    found.add({"x": torch.randn(99)}, 1.0)
    found.write()


def codes(path):
    with NpzWriter(path) as file:
        file.append({"z": torch.randn(99, 9).numpy()})


def record(path):
    lock = RunLock(path.parent)
    lock.path = path
    try:
        lock.write({"id": "x" * 999})
    finally:
        lock.close()


WRITERS = {
    "text.html": lambda path: replace_text(path, "x" * 9999),
    "bytes.onnx": lambda path: replace_bytes(path, b"x" * 9999),
    "object.json": lambda path: write_json(path, {"a": "x" * 9999}),
    "figure.png": lambda path: save(Figure(), path),
    "grid.png": lambda path: write_image(torch.rand(3, 50, 50), path),
    "answers.npz": answers,
    "codes.npz": codes,
    "run.json": record,
    "best.ckpt": lambda path: replace_checkpoint(path, lambda file: torch.save(torch.ones(9999), file)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(name, tmp_path):
    (path := tmp_path / name).write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(OSError, match=rf"^cannot write .*{name} \(.+\)"):
            WRITERS[name](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [name]
    WRITERS[name](path)
    assert path.stat().st_size > 500 and os.listdir(tmp_path) == [name]


def test_an_error_or_ctrl_c_leaves_the_old_file(tmp_path):
    (path := tmp_path / "a").write_text("old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), replacing(path) as file:
            file.write(b"new")
            raise error
        assert path.read_text() == "old" and os.listdir(tmp_path) == ["a"]


def test_a_full_disk_is_named_in_the_message(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"^cannot write {tmp_path}/a \(No space left on device\)$"):
        replace_text(tmp_path / "a", "x")
    assert not os.listdir(tmp_path)


def test_what_a_killed_process_left_is_written_over(tmp_path):
    (tmp_path / ".a.tmp").write_bytes(b"half of something longer")
    replace_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and os.listdir(tmp_path) == ["a"]


def test_a_folder_or_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "a"):
        with pytest.raises(OSError, match=f"^cannot write {path} "):
            replace_text(path, "x")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_names_as_long_as_a_file_system_takes(tmp_path):
    for name in ("a" * 255, "é" * 127):
        replace_bytes(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"
    assert len(os.listdir(tmp_path)) == 2


def test_the_mode_is_the_users(tmp_path):
    before = os.umask(0o027)
    try:
        replace_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_processes_that_write_one_file_take_turns(tmp_path):
    code = (
        "import sys, pathlib\nfrom whole_files import replacing\n"
        "for _ in range(50):\n"
        "    with replacing(pathlib.Path('out')) as file:\n"
        "        for _ in range(50):\n"
        "            file.write(sys.argv[1].encode() * 99)\n"
        "            file.flush()\n"
    )
    words = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "vae")}
    writers = [subprocess.Popen([*words, n], cwd=tmp_path, env=environment) for n in "abc"]
    while any(writer.poll() is None for writer in writers):
        if (path := tmp_path / "out").exists():
            held = path.read_bytes()
            assert len(held) == 4950 and len(set(held)) == 1
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["out"]


def test_nothing_else_in_the_package_renames_into_place():
    """There is one way to write a file: no other has a temporary file of its own."""
    sources = [*ROOT.glob("vae/**/*.py"), *ROOT.glob("experiments/**/*.py")]
    found = [p.name for p in sources if ".tmp" in p.read_text(encoding="utf-8")]
    assert found == ["whole_files.py"]
