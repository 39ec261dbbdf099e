"""Peak memory of the loops, each in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmark.command_line import fit, images_on
from benchmark.loops import without_library
from benchmark.models import MODELS
from benchmark.peers import Tutorial, plain_lightning
from vae.cli.quiet import quiet

__all__ = ["alone", "memory", "peak_memory", "print_memory"]

HERE = Path(__file__).resolve().parents[1]


def alone(module: str, call: str) -> Any:
    """What a function of this package prints as JSON, called in a process of its own.

    Raises:
        ValueError: If it fails.
    """
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); import benchmark.{module} as m; m.{call}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    if done.returncode:
        raise ValueError(f"{call} failed: {(done.stderr.splitlines() or ['?'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def memory(names: list[str], device: str) -> dict[str, dict[str, int]]:
    """Peak MB of each model by each loop."""
    loops = {name: ["fit", "raw"] for name in names}
    if "gaussian" in loops:
        loops["gaussian"] += ["tutorial", "lightning"]
    return {
        name: {
            loop: alone("memory", f"print_memory({name!r}, {loop!r}, 20, {device!r})")
            for loop in row
        }
        for name, row in loops.items()
    }


def print_memory(name: str, loop: str, steps: int, device: str) -> None:
    """Trains by one loop, and prints the peak memory in MB."""
    quiet()
    model, images = MODELS[name], images_on(device)
    if loop == "fit":
        options = {"trainer.max_steps": steps, "data.batch_size": model.batch_size}
        flags = {"model.compile": "false", "data.num_val": 400}
        fit(model.options, lambda step, images: None, device, options | flags)
    elif loop == "lightning":
        plain_lightning(images, steps, lambda step, images: None)
    elif loop == "tutorial":
        Tutorial(images).run(steps)
    else:
        without_library(model, images).run(steps)
    print(json.dumps(round(peak_memory(device))))


def peak_memory(device: str) -> float:
    """The most memory that this process has had, in MB: on a GPU in tensors, else resident."""
    module = torch.get_device_module(device)
    if hasattr(module, "max_memory_allocated"):
        return float(module.max_memory_allocated() / 1e6)
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says starts with the peak of the parent process
        (line,) = (
            line
            for line in status.read_text(encoding="utf-8").splitlines()
            if line.startswith("VmHWM")
        )
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
