"""What tests use in place of interpreters: it must be as one is."""

import subprocess
import sys
from threading import Thread
from time import sleep

import pytest

ENDING = """
import atexit, os, sys, warnings
atexit.register(print, "at exit")
print(os.environ["OWN"], os.environ.get("NOT_SET"), os.getcwd(), *sys.argv[1:])
print("wrong", file=sys.stderr)
warnings.warn("as in any interpreter, no error")
raise SystemExit(3)
"""


@pytest.fixture
def ending(tmp_path):
    (path := tmp_path / "ending.py").write_text(ENDING)
    return path


def test_a_script_ends_as_in_an_interpreter(ending, script, monkeypatch, tmp_path):
    monkeypatch.setenv("NOT_SET", "x")
    script(ending, OWN="1")  # what it was given then is gone
    monkeypatch.delenv("NOT_SET")
    code, out, err = script(ending, "a b", folder=tmp_path, OWN="2")
    assert (code, out) == (3, f"2 None {tmp_path} a b\nat exit\n")
    assert err.startswith("wrong\n") and "no error" in err


def test_one_that_raises_shows_it(script, tmp_path):
    (path := tmp_path / "raises.py").write_text("1 / 0")
    code, _, err = script(path)
    assert code == 1 and err.rstrip().endswith("ZeroDivisionError: division by zero")


def test_what_popen_would_start_is_forked(ending, forked_scripts, tmp_path):
    with (tmp_path / "log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, ending], env={"OWN": "3"}, stdout=log, stderr=log
        )
        assert process.wait(60) == process.returncode == process.poll() == 3
    assert "3 None" in (tmp_path / "log").read_text()
    (path := tmp_path / "waits.py").write_text("import time; time.sleep(60)")
    process = subprocess.Popen([sys.executable, path])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.terminate()
    assert process.wait(60) == -15


def test_what_is_made_once_is_made_once(once, tmp_path):
    made = []

    def make(folder):
        sleep(0.1)
        made.append(folder)

    threads = [Thread(target=once, args=(tmp_path.name, make)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [once(tmp_path.name, make)]
