"""What scripts owe the shell: output that nobody reads ends nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vae.cli.shell import Stream

ROOT = Path(__file__).resolve().parents[2]

ENDING = """
import atexit, sys
from vae.cli import shell
shell.prepare()
atexit.register(print, "closed")
class Part:
    def __del__(self):
        sys.stderr.write("taken apart")
part = Part()
print("done")
"""


@pytest.mark.parametrize(
    "last, code, said",
    [
        ("shell.finished()", 0, ""),
        ("", 0, "taken apart"),
        ("shell.finished(); raise ValueError", 1, "ValueError"),
        ("sys.exit(3)", 3, "taken apart"),
        ("shell.finished(3); sys.exit(3)", 3, ""),
    ],
)
def test_a_finished_process_ends_without_taking_its_modules_apart(last, code, said):
    """But after all that was to be done at its exit."""
    words = [sys.executable, "-c", ENDING + last]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code and done.stdout == "done\nclosed\n"
    assert said in done.stderr and (said or not done.stderr)


@pytest.fixture
def pipe():
    """A pipe's two ends; the one to read from is closed in some tests."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            pass


def test_a_reader_that_went_away_is_no_error(pipe):
    reader, writer = pipe
    stream = Stream(writer, sys.__stdout__)
    stream.write("read\n")
    stream.flush()
    assert os.read(reader, 100) == b"read\n"
    os.close(reader)
    for _ in range(3):
        stream.write("x" * 100_000)  # more than a buffer
        stream.flush()


def test_what_an_encoding_lacks_is_spelt(pipe):
    class Latin:
        encoding = "ascii"

        @staticmethod
        def isatty():
            return False

    stream = Stream(pipe[1], Latin())
    stream.write("1 ± 2 ≥ x² → Fréchet, 数\udcff\n")
    stream.flush()
    assert os.read(pipe[0], 100) == b"1 +- 2 >= x2 -> Frechet, ??\n"


@pytest.mark.parametrize("encoding", [None, "latin-1"])
def test_a_process_in_an_ascii_locale_begins_anew_in_utf8(encoding, tmp_path):
    """What is printed there keeps its encoding."""
    (path := tmp_path / "prüfung.py").write_text(
        "import sys\nfrom pathlib import Path\nfrom vae.cli.shell import prepare\nprepare()\n"
        "print(sys.flags.utf8_mode, sys.argv[1], Path(sys.argv[2]).read_text())",  # as libraries do
        encoding="utf-8",
    )
    (tmp_path / "größe").write_text("变 é", encoding="utf-8")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({"PYTHONIOENCODING": encoding} if encoding else {})
    words = [sys.executable, str(path), "ü", str(tmp_path / "größe")]
    done = subprocess.run(words, capture_output=True, env=environment)
    assert done.stdout.decode(encoding or "ascii") == ("1 ü ? é\n" if encoding else "1 u ? e\n")
