"""What a GPU user runs, on a device that is none (``pretend/pretend_device.py``). It cannot be taken
back, and torch and Lightning look for accelerators: so it has a process of its own."""

from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parent / "pretend"
MARKS = [pytest.param("not slow", id="fast"), pytest.param("slow", marks=pytest.mark.slow)]


@pytest.mark.e2e
@pytest.mark.skipif(
    torch.__version__ < (2, 13), reason="torch takes a device written in Python from 2.13 on"
)
@pytest.mark.parametrize("marks", MARKS)
def test_a_pretend_device_is_a_gpu_to_the_library(marks, script, tmp_path):
    options = ["-x", "--tb=short", "--color=no", "-p", "no:cacheprovider"]
    options += [f"--basetemp={tmp_path / 'own'}"]
    words = ["-m", "pytest", FOLDER, "-m", marks, *options]
    done = script(*words, CUDA_VISIBLE_DEVICES="", timeout=900)
    assert done.code == 0, done.out + done.err
    print(done.out.splitlines()[-1])  # how many, in how long: pytest -s
