"""What a GPU user runs, on a device that is none (``pretend/pretend_device.py``). It cannot be taken
back, and torch and Lightning look for accelerators: so it has a process of its own."""

import os
import subprocess
import sys
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
def test_a_pretend_device_is_a_gpu_to_the_library(marks, tmp_path):
    command = [sys.executable, "-m", "pytest", str(FOLDER), "-m", marks, "-x", "--tb=short"]
    options = ["--color=no", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'own'}"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout.splitlines()[-1])  # how many, in how long: pytest -s
