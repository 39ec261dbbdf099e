"""From a checkpoint, or a run's folder, back to a model and its data. Only plain values and
tensors are read: no code runs."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from vae.data import DigitsDataModule, ImageDataModule, MNISTDataModule
from vae.module import ContinuousVAE, DiscreteVAE, GaussianVAE, ImageVAE
from vae.saving import PREVIOUS
from vae.tracking import runs_dir

__all__ = [
    "find_checkpoint",
    "find_last",
    "folder_of",
    "load",
    "load_data",
    "newest_run",
    "read_checkpoint",
]

MODULES: dict[str, type[ImageVAE]] = {
    "GaussianVAE": GaussianVAE,
    "DiscreteVAE": DiscreteVAE,
    "ContinuousVAE": ContinuousVAE,
}
DATA: dict[str, type[ImageDataModule]] = {
    "MNISTDataModule": MNISTDataModule,
    "DigitsDataModule": DigitsDataModule,
}


def newest_run() -> Path:
    """The newest run that has a checkpoint.

    Raises:
        FileNotFoundError: If there is none.
    """
    runs = sorted({path.parent.parent for path in runs_dir().glob("*/checkpoints/*.ckpt")})
    if not runs:
        raise FileNotFoundError(
            f"no run with a checkpoint in {runs_dir()}: train one first (make train), or name a checkpoint"
        )
    return runs[-1]


def find_checkpoint(path: str | Path | None = None, prefer: str = "best.ckpt") -> Path:
    """A checkpoint, from its own path, from a run's folder (its best, or what to ``prefer``), or
    from nothing (the newest run's).

    Raises:
        FileNotFoundError: If it is not there.
    """
    path = newest_run() if path is None else Path(path)
    if path.is_dir():
        for name in (prefer, "best.ckpt", "last.ckpt"):
            if (path / "checkpoints" / name).is_file():
                return path / "checkpoints" / name
        raise FileNotFoundError(
            f"{path} holds no checkpoints/best.ckpt or last.ckpt: name a run's folder or a .ckpt file"
        )
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: name a .ckpt file or a run's folder")
    return path


def find_last(path: str | Path) -> tuple[Path, dict[str, Any]]:
    """The checkpoint to continue from, and what it holds: the file that is named or, of a run's
    folder, ``last.ckpt``; where that is damaged, the one before it, and a line says so.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If none can be read.
    """
    path = Path(path)
    if not path.is_dir():
        path = find_checkpoint(path)
        return path, read_checkpoint(path)
    found = [path / "checkpoints" / name for name in ("last.ckpt", PREVIOUS)]
    found = [file for file in found if file.exists()]
    if not found:
        raise FileNotFoundError(
            f"{path} holds no checkpoints/last.ckpt: nothing was trained there yet, start it anew"
        )
    for file in found:
        try:
            return file, read_checkpoint(file)
        except ValueError as error:
            if file is found[-1]:
                raise
            print(f"{error}; continuing from {PREVIOUS}, the one before it", file=sys.stderr)
    raise AssertionError


def folder_of(path: Path) -> Path:
    """Where what is made from a checkpoint goes: its run's folder, or the one that it lies in."""
    return path.parent.parent if path.parent.name == "checkpoints" else path.parent


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, on the CPU, whatever device made it.

    Raises:
        ValueError: If the file is damaged, or not a checkpoint of this library.
    """
    try:
        if zipfile.is_zipfile(path) and (broken := zipfile.ZipFile(path).testzip()):
            raise ValueError(f"bad checksum of {broken}")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except (
        OSError,
        RuntimeError,
        EOFError,
        LookupError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        reason = "it is empty" if path.stat().st_size == 0 else type(error).__name__
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({reason}): it is truncated, damaged or of another kind"
        ) from None
    expected = {"vae", "state_dict", "hyper_parameters"}
    if not isinstance(checkpoint, dict) or not expected <= checkpoint.keys():
        raise ValueError(
            f"{path} is not a checkpoint of a GaussianVAE or a DiscreteVAE of this library"
        )
    if not isinstance(checkpoint["vae"], dict) or not isinstance(checkpoint["state_dict"], dict):
        raise ValueError(f"{path} is not a checkpoint of a GaussianVAE or a DiscreteVAE")
    if checkpoint["vae"].get("module") not in MODULES:
        raise ValueError(
            f"{path} holds a {checkpoint['vae'].get('module')}, none of {', '.join(MODULES)}"
        )
    return checkpoint


def load(path: str | Path | None = None) -> tuple[ImageVAE, dict[str, Any], Path]:
    """A trained module in evaluation mode on the CPU, its checkpoint's contents, and the path
    they came from.

    Arguments:
        path: A checkpoint, a run's folder, or None for the newest run.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it cannot be read, or does not fit this version of the library.
    """
    path = find_checkpoint(path)
    checkpoint = read_checkpoint(path)
    options = {k: v for k, v in checkpoint["hyper_parameters"].items() if not k.startswith("_")}
    try:
        module = MODULES[checkpoint["vae"]["module"]](**options)
        module.load_state_dict(checkpoint["state_dict"])
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} does not fit this version of the library: {error}") from None
    return module.eval(), checkpoint, path


def load_data(checkpoint: dict[str, Any]) -> ImageDataModule:
    """The data module that a checkpoint's model was trained on, with its binarisation and seeds,
    set up on the CPU.

    Raises:
        ValueError: If the checkpoint names none.
        FileNotFoundError: If the data are not there.
    """
    name = checkpoint["vae"].get("data")
    if name not in DATA:
        raise ValueError(f"the checkpoint names no data set of this library (it says {name})")
    options = checkpoint.get("datamodule_hyper_parameters", {})
    try:
        data = DATA[name](**{k: v for k, v in options.items() if not k.startswith("_")})
    except TypeError as error:
        raise ValueError(f"the checkpoint's data do not fit this version: {error}") from None
    data.prepare_data()
    data.setup()
    return data
