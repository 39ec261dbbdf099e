"""Makes the trained checkpoints of ``experiments/checkpoints``, which come with the repository.

Each is trained by its configuration and evaluated, its weights are stored as float16 and evaluated
again, on the same images and with the same noise. A configuration that was trained already by the
same command, without another option, is not trained again.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import hashlib
import io
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from vae.cli.errors import one_line_errors
from vae.cli.evaluate import evaluate
from vae.cli.parser import ScriptParser
from vae.evaluation.importance import ImportanceWeighted
from vae.models.checkpoint import read_checkpoint
from vae.models.half import STORED, halved
from vae.run import provenance
from vae.run.checkpoint import find_checkpoint
from vae.run.files import read_json, write_json
from vae.run.folder import runs_dir
from vae.run.lock import record_of
from vae.run.record import command_line
from vae.whole_files import replace_bytes

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "checkpoints"
RESULTS = FOLDER / "checkpoints.json"

NAMES = ["gaussian", "discrete", "manifold"]
"""Configurations of ``configs``; a checkpoint has its configuration's name."""

LARGEST = 2_000_000
"""Bytes of a file that every clone has to carry."""

NEGLIGIBLE = 0.05
"""Nats that float16 may cost: a fifth of the standard error of an ELBO over 10,000 test images."""


def ship(names: list[str] | None = None, run: str | None = None) -> None:
    """Trains what has no run yet, and writes checkpoints and their numbers.

    Args:
        names: Configurations; by default all of them.
        run: The run to take, of one name, in place of the newest that has ended.

    Raises:
        ValueError: If there is no such configuration, a file becomes too large, names a path of
            this machine, or loses by float16.
    """
    wanted = NAMES if names is None else names
    if unknown := [name for name in wanted if name not in NAMES]:
        raise ValueError(f"no checkpoint {unknown[0]}: choose from {', '.join(NAMES)}")
    if run is not None and len(wanted) != 1:
        raise ValueError("run is of one checkpoint: name it, as in --names [gaussian]")
    for name in wanted:
        _ship(name, Path(run).expanduser() if run else _ended(name) or _trained(name))


def _words(name: str) -> list[str]:
    """The command that trains a configuration, with no option besides."""
    script, config = HERE / "train.py", HERE / "configs" / f"{name}.yaml"
    return [os.path.relpath(script), "fit", "--config", os.path.relpath(config)]


def _ended(name: str) -> Path | None:
    """The newest run of this configuration, just as it is, that has tested its model."""
    command = shlex.join(["python", *_words(name)])
    runs = (path.parent for path in runs_dir().glob("*/results.json"))
    return max(
        (run for run in runs if record_of(run / "run.json").get("command") == command),
        default=None,
    )


def _trained(name: str) -> Path:
    if subprocess.run([sys.executable, *_words(name)]).returncode:
        raise ValueError(f"{name}: the training failed; its last lines are above")
    found = _ended(name)
    assert found is not None
    return found


def _ship(name: str, run: Path) -> None:
    path = find_checkpoint(run)
    contents = read_checkpoint(path)
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / f"{name}.ckpt"
        before = _evaluated(path, Path(folder) / "before.json")
        kept = stripped(contents, before["training"], {})
        torch.save(kept, small)
        after = _evaluated(small, Path(folder) / "after.json")
    kept["vae"]["numbers"] = provenance.numbers_of(after["metrics"])
    if provenance.has_path([kept["vae"][key] for key in kept["vae"]]):
        raise ValueError(f"{run} names a path of this machine: train it by a relative one")
    gaps = {
        key: round(after["metrics"][key]["mean"] - before["metrics"][key]["mean"], 4)
        for key in kept["vae"]["numbers"]
    }
    if (largest := max(map(abs, gaps.values()))) > NEGLIGIBLE:
        raise ValueError(f"{name}: float16 changes a number by {largest} nats: not shipped")
    target = FOLDER / f"{name}.ckpt"
    torch.save(kept, held := io.BytesIO())
    if (size := held.tell()) > LARGEST:
        raise ValueError(f"{name} takes {size:,} bytes, more than {LARGEST:,}: make it smaller")
    replace_bytes(target, held.getvalue())
    rows = read_json(RESULTS) if RESULTS.is_file() else {}
    rows[name] = {
        "bytes": size,
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "stored": STORED,
        "float32": provenance.numbers_of(before["metrics"]),
        STORED: kept["vae"]["numbers"],
        "difference": gaps,
        "evaluation": {key: after[key] for key in ("git", "version", "torch", "hardware")}
        | {"command": command_line()},
        "training": kept["vae"]["training"],
    }
    write_json(RESULTS, {key: rows[key] for key in NAMES if key in rows})
    print(
        f"{target.relative_to(HERE.parent)}: {size / 1e6:.2f} MB, float16 costs {gaps['elbo']:+}"
    )


def _evaluated(path: Path, output: Path) -> dict[str, Any]:
    """ELBO, rate, distortion and the bound of 100 samples, on the test images."""
    return evaluate(str(path), parts=[ImportanceWeighted(100)], output=str(output))


def stripped(
    contents: dict[str, Any], training: dict[str, Any], numbers: dict[str, Any]
) -> dict[str, Any]:
    """A checkpoint's model, as float16, with where it comes from; nothing of a run's state.

    Arguments:
        contents: What :func:`vae.models.checkpoint.read_checkpoint` returned.
        training: How it was made.
        numbers: What it achieved.
    """
    names = ("model", "parts", "why_not", "data", "data_why_not")
    own = {name: contents["vae"][name] for name in names if name in contents["vae"]}
    return {
        "epoch": contents["epoch"],
        "global_step": contents["global_step"],
        "pytorch-lightning_version": contents["pytorch-lightning_version"],
        "vae": own | {"stored": STORED, "training": training, "numbers": numbers},
        "state_dict": halved(contents["state_dict"]),
    }


if __name__ == "__main__":
    with one_line_errors():
        parser = ScriptParser(description=__doc__)
        parser.add_function_arguments(ship)
        ship(**vars(parser.parse_args()))
