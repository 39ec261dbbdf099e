"""A run's record: command, revision, versions, hardware."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vae.run.folder import run_id

__all__ = ["command_line", "describe_run", "find_device", "git_says", "hardware"]


def describe_run(run: Path, seed: int | None, device: str) -> dict[str, Any]:
    """The content of ``run.json``: where the run's numbers come from, and which process works there."""
    return {
        "id": run_id(run),
        "command": command_line(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": platform.node(),
        "pid": os.getpid(),
        "seed": seed,
        "git": git_says("rev-parse", "HEAD"),
        "git_dirty": bool(git_says("status", "--porcelain")),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": version("lightning"),
        "wandb": version("wandb"),
        "hardware": hardware(device),
    }


def command_line() -> str:
    """The command line as it was typed: ``vae fit ...``, or ``python script.py ...``."""
    path, *words = sys.argv
    return shlex.join(["vae", *words] if Path(path).name == "vae" else ["python", path, *words])


def find_device(name: str) -> str:
    """The device of this name; "auto" is the accelerator, or the CPU where there is none.

    Raises:
        ValueError: If torch cannot use it.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return "cpu" if found is None else found.type
    try:
        torch.empty(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"device {name} is not there: use cpu, cuda or auto") from None
    return name


def hardware(device: str) -> str:
    """The GPU's name, or the processor's with the number of threads in use."""
    module = torch.get_device_module(device)
    if hasattr(module, "get_device_name"):
        return str(module.get_device_name(device))
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
        if cpuinfo.exists()
        else []
    )
    threads = torch.get_num_threads()
    return f"{names[0] if names else platform.machine()}, {threads} thread{'s' * (threads != 1)}"


def git_says(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # installed without git, or outside a repository
        return None
