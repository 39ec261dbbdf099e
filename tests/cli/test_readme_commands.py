"""The README's commands, in order, in a copy of the repository: as a newcomer types them."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"

SHORTER = {
    "make train": 'make train ARGS="--trainer.max_epochs 1"',
    "make test": "",  # this is one of its tests
    "MNISTDataModule": "DigitsDataModule --trainer.max_steps 2 --model.test_samples 2",
}
"""What would take minutes, or needs MNIST."""


def commands():
    """The lines of the README's shell blocks, without comments, continued lines as one."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [re.sub(r"\s+#.*", "", line).strip() for line in lines]
    for word, instead in SHORTER.items():
        assert any(word in line for line in found), f"{word} is no longer in the README"
        found = [instead if line == word else line.replace(word, instead) if word[0].isupper() else line for line in found]  # fmt: skip
    return [line for line in found if line]


@pytest.fixture
def clone(tmp_path):
    """A copy of what git knows or would add, with this environment in place of a new one."""
    if not (VENV / "bin" / "vae").exists():
        pytest.skip("there is no .venv: make install")
    listed = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
    folder = tmp_path / "clone"
    for name in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split(
        "\0"
    ):
        if name and name != ".venv" and os.path.lexists(ROOT / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    (folder / ".venv").symlink_to(VENV.resolve())
    return folder


@pytest.mark.e2e
def test_a_newcomer_can_type_them(clone, tmp_path):
    environment = os.environ | {
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone),
        "VAE_DATA_DIR": str(tmp_path / "none"),
        "WANDB_MODE": "disabled",
    }
    for name in (
        "VAE_RUNS_DIR",
        "VAE_HINTS",
        "COLUMNS",
        "MAKELEVEL",
        "MAKEFLAGS",
        "MFLAGS",
        "ARGS",
    ):
        environment.pop(name, None)
    seconds = {}
    for line in commands():
        start = time.monotonic()
        done = subprocess.run(
            re.sub("^make ", "make -o .venv/.installed ", line),
            shell=True,
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
        )
        seconds[line] = round(time.monotonic() - start, 1)
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        assert "Traceback" not in done.stdout + done.stderr, line
        assert done.stdout.splitlines()[-1].startswith("next: "), (line, done.stdout[-500:])
    print(seconds)
