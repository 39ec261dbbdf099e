"""From a checkpoint, or a run's folder, back to a model and its data. Only plain values and
tensors are read: no code runs."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from vae.data.digits import DigitsDataModule
from vae.data.mnist import MNISTDataModule
from vae.data.module import ImageDataModule
from vae.models.effects import tolerated
from vae.run.atomic import PREVIOUS
from vae.run.finding import find_runs
from vae.run.folder import runs_dir
from vae.run.plain_yaml import is_special
from vae.training.presets import ContinuousVAE, DiscreteVAE, GaussianVAE, ImageVAE
from vae.training.sizes import assert_trainable, skeleton

__all__ = [
    "assert_not_past",
    "assert_same_data",
    "assert_same_model",
    "build",
    "can_go_on",
    "find_checkpoint",
    "find_last",
    "folder_of",
    "how_to_go_on",
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


BATCH = 64
"""Images: what a checkpoint's model could not even be given one batch of, is not built."""

RUN_STATE = {
    "callbacks": dict,
    "epoch": int,
    "global_step": int,
    "loops": dict,
    "lr_schedulers": list,
    "optimizer_states": list,
}
"""What a run is continued from, besides its model."""


HINT = "continue with the run's own configuration (make resume RUN=...)"


def newest_run() -> Path:
    """The run that was started last, of those that have a checkpoint.

    Raises:
        FileNotFoundError: If there is none.
    """
    runs = find_runs()
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
    path = newest_run() if path is None else Path(path).expanduser()
    if path.is_dir():
        for name in (prefer, "best.ckpt", "last.ckpt", PREVIOUS):
            if is_special(path / "checkpoints" / name):
                path = path / "checkpoints" / name
                break
            if (path / "checkpoints" / name).is_file():
                return path / "checkpoints" / name
        else:
            raise FileNotFoundError(
                f"{path} holds no checkpoints/best.ckpt or last.ckpt: name a run's folder or a .ckpt file"
            )
    if is_special(path):
        raise ValueError(f"{path} is a pipe, a device or a socket: name a regular file")
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
    path = Path(path).expanduser()
    if not path.is_dir():
        path = find_checkpoint(path)
        return path, _read_run_state(path)
    found = _lasts(path)
    if not found:
        raise FileNotFoundError(
            f"{path} holds no checkpoints/last.ckpt: nothing was trained there yet, start it anew"
        )
    try:
        return found[0], _read_run_state(found[0])
    except ValueError as error:
        if len(found) == 1:
            raise
        contents = _read_run_state(found[1])
        print(f"{error}; continuing from {PREVIOUS}, the one before it", file=sys.stderr)
        return found[1], contents


def _lasts(run: Path) -> list[Path]:
    """The checkpoints that a run can be continued from, the best first."""
    found = [run / "checkpoints" / name for name in ("last.ckpt", PREVIOUS)]
    return [file for file in found if file.exists()]


def can_go_on(run: Path) -> bool:
    """Whether a run has a checkpoint, that can be read, to continue from."""
    for path in _lasts(run):
        try:
            _read_run_state(path)
            return True
        except (OSError, ValueError):
            continue
    return False


def how_to_go_on(run: Path) -> str:
    """What to do about a run that was cut short: no promise that cannot be kept."""
    if can_go_on(run):
        return f"continue: make resume RUN={shlex.quote(str(run))}"
    return "start it anew: there is no checkpoint to continue from yet"


def folder_of(path: Path) -> Path:
    """Where what is made from a checkpoint goes: its run's folder, or the one that it lies in."""
    if path.parent.name in ("", ".."):  # named from inside
        path = Path(os.path.abspath(path))
    return path.parent.parent if path.parent.name == "checkpoints" else path.parent


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, on the CPU, whatever device made it.

    Raises:
        ValueError: If the file cannot be read, is damaged, or not a checkpoint of this library.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch remarks on foreign files
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as file:
                    if any(m.compress_type != zipfile.ZIP_STORED for m in file.infolist()):
                        raise ValueError("it is compressed, which torch's own never are")
                    if broken := file.testzip():
                        raise ValueError(f"bad checksum of {broken}")
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged bytes raise anything
        raise ValueError(f"{path} {_complaint(path, error)}") from None
    parts = {"vae": dict, "state_dict": dict, "hyper_parameters": dict}
    if not isinstance(checkpoint, dict) or not _has(checkpoint, parts):
        raise ValueError(
            f"{path} is not a checkpoint of a GaussianVAE or a DiscreteVAE of this library"
        )
    name = checkpoint["vae"].get("module")
    if not isinstance(name, str) or name not in MODULES:
        raise ValueError(f"{path} holds a {name}, none of {', '.join(MODULES)}")
    return checkpoint


def _complaint(path: Path, error: Exception) -> str:
    text = str(error)
    if named := re.search(r"GLOBAL (\S+)", text):
        return (
            f"cannot be read as a checkpoint: it names {named[1]}, and would run it, where there"
            " are plain values and tensors only"
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EIO, errno.EPERM):
        return f"cannot be read: {error.strerror}"
    reason = (
        text if text.startswith(("bad checksum", "it is compressed")) else type(error).__name__
    )
    if path.is_file() and path.stat().st_size == 0:
        reason = "it is empty"
    return (
        f"cannot be read as a checkpoint ({reason}): it is truncated, damaged or of another kind"
    )


def _has(checkpoint: Mapping[str, Any], parts: Mapping[str, type]) -> bool:
    return all(isinstance(checkpoint.get(name), kind) for name, kind in parts.items())


def _read_run_state(path: Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    if not _has(checkpoint, RUN_STATE) or not _has(checkpoint["vae"], {"generators": dict}):
        raise ValueError(
            f"{path} holds a model, but not the state of a run: continue from a run's last.ckpt"
        )
    for name in _strange(checkpoint):
        raise ValueError(f"{path} holds no {name} that a run can go on from: it is damaged")
    return checkpoint


def _strange(checkpoint: Mapping[str, Any]) -> list[str]:
    """What a run's state names, but is not of the kind that the run would have written."""
    own, optimizers = checkpoint["vae"], checkpoint["optimizer_states"]
    rows, validated, random = own.get("rows"), own.get("validated") or {}, own["generators"]
    parts = {"state": dict, "param_groups": list}
    sound = {
        "number of rows": rows is None or (isinstance(rows, int) and rows >= 0),
        "validation": isinstance(validated, dict)
        and all(isinstance(value, (int, float)) for value in validated.values()),
        "random state": all(
            isinstance(state, torch.Tensor) and state.dtype == torch.uint8
            for state in random.values()
        ),
        "optimiser": len(optimizers) == 1
        and isinstance(optimizers[0], dict)
        and _has(optimizers[0], parts),
        "number of steps": 0 <= checkpoint["global_step"] < 2**63,
    }
    return [name for name, fine in sound.items() if not fine]


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
    return build(checkpoint, path).eval(), checkpoint, path


def build(checkpoint: dict[str, Any], path: Path, wrapped: bool = True) -> ImageVAE:
    """The module of a checkpoint, with its weights.

    Arguments:
        checkpoint: What :func:`read_checkpoint` returned.
        path: Where it came from, for the message.
        wrapped: Whether the weights may be those of a module inside a wrapper.

    Raises:
        ValueError: If it does not fit this version of the library.
    """
    options = checkpoint["hyper_parameters"]
    options = {k: v for k, v in options.items() if not str(k).startswith("_")}
    weights = plain_names(checkpoint["state_dict"]) if wrapped else checkpoint["state_dict"]
    try:
        module_class = MODULES[checkpoint["vae"]["module"]]
        with tolerated():
            with torch.random.fork_rng(devices=[]):  # nothing is stored until it fits
                own = skeleton(module_class, options)
            _assert_fits(own.state_dict(), weights)
            assert_trainable(own, BATCH)
            module = module_class(**options)
        _assert_fits(module.state_dict(), weights)
        module.load_state_dict(weights)
    except Exception as error:  # another version's values raise anything
        raise ValueError(f"{path} does not fit this version of the library: {error}") from None
    return module


def plain_names(weights: Mapping[Any, Any]) -> dict[Any, Any]:
    """Weights by the module's own names, without what a wrapper adds to them: ``module.``
    (DataParallel, DistributedDataParallel), ``_orig_mod.`` (torch.compile)."""
    names = {name: name for name in weights}
    if all(isinstance(name, str) for name in names):
        names = {name: name.replace("_orig_mod.", "") for name in names}
        while names and all(name.startswith("module.") for name in names.values()):
            names = {name: plain.removeprefix("module.") for name, plain in names.items()}
    return {plain: weights[name] for name, plain in names.items()}


def _assert_fits(own: dict[str, Any], found: dict[str, Any]) -> None:
    """Names the first difference, where torch would list them all."""
    lacking, foreign = sorted(own.keys() - found.keys()), sorted(map(str, found.keys() - own))
    for names, verb in ((lacking, "lacks"), (foreign, "has an unknown")):
        if names:
            others = f" and {len(names) - 1} more" if names[1:] else ""
            raise ValueError(f"it {verb} {names[0]}{others}")
    for name, value in own.items():
        tensor = found[name]
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{name} is no tensor")
        if not is_lazy(value) and tensor.shape != value.shape:
            raise ValueError(
                f"{name} has the shape {tuple(tensor.shape)}, not {tuple(value.shape)}"
            )
        strided = tensor.layout == torch.strided and not tensor.is_meta
        if not strided or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.itemsize:
            raise ValueError(f"{name} holds fewer numbers than its shape {tuple(tensor.shape)}")


def assert_same_model(path: Path, checkpoint: dict[str, Any], model: Any) -> None:
    """Refuses to continue a run with another model than its own: Lightning would train that of
    the checkpoint, and not say so.

    Arguments:
        path: The checkpoint's.
        checkpoint: What it holds.
        model: The configuration's ``class_path`` and ``init_args``.

    Raises:
        ValueError: If the class or an option differs, or the checkpoint is of another version.
    """
    with torch.random.fork_rng(devices=[]):
        if plain_names(checkpoint["state_dict"]).keys() != checkpoint["state_dict"].keys():
            raise ValueError(
                f"{path} holds the weights of a wrapped module (module. or _orig_mod. in their"
                " names): it can be evaluated, but not continued"
            )
        build(checkpoint, path, wrapped=False)
    held, asked = checkpoint["vae"]["module"], model.class_path.rpartition(".")[2]
    if held != asked:
        raise ValueError(f"{path} holds a {held}, not a {asked}: {HINT}")
    _assert_same(path, checkpoint["hyper_parameters"], model.get("init_args"), {"image_shape"})


def assert_same_data(path: Path, checkpoint: dict[str, Any], data: Any) -> None:
    """Refuses to continue a run on other data than its own, or in another order.

    Arguments:
        path: The checkpoint's.
        checkpoint: What it holds.
        data: The configuration's ``class_path`` and ``init_args``.

    Raises:
        ValueError: If the class or an option differs; the grouping of steps may, between epochs.
    """
    held, asked = checkpoint["vae"].get("data"), data.class_path.rpartition(".")[2]
    if held != asked:
        raise ValueError(f"{path} was trained on {held}, not on {asked}: {HINT}")
    free = {"eval_batch_size"} | (set() if _position(path, checkpoint)[2] else {"steps_per_batch"})
    options = checkpoint.get("datamodule_hyper_parameters")
    _assert_same(path, options if isinstance(options, dict) else {}, data.get("init_args"), free)


def assert_not_past(
    path: Path, checkpoint: dict[str, Any], max_epochs: int | None, max_steps: int
) -> None:
    """Refuses to end a run before where it already is.

    Raises:
        ValueError: If more epochs, or steps, are done.
    """
    epochs, steps, _ = _position(path, checkpoint)
    for name, most, done in (("epochs", max_epochs, epochs), ("steps", max_steps, steps)):
        if most is not None and -1 < most < done:
            raise ValueError(f"max_{name} {most} is less than what {path} has done ({done})")


def _position(path: Path, checkpoint: dict[str, Any]) -> tuple[int, int, int]:
    """Epochs and steps that are done, and batches of the epoch that is not."""
    try:
        loop = checkpoint["loops"]["fit_loop"]
        loaders = loop["state_dict"].get("combined_loader") or [{"batch": 0}]
        epochs = loop["epoch_progress"]["current"]["processed"]
        return int(epochs), int(checkpoint["global_step"]), int(loaders[0]["batch"])
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError):
        raise ValueError(f"{path} does not say where its run was: it is damaged") from None


def _assert_same(
    path: Path, held: Mapping[str, Any], asked: Mapping[str, Any] | None, free: set[str]
) -> None:
    for name, value in (asked or {}).items():
        if name in held and name not in free and _plain(held[name]) != _plain(value):
            raise ValueError(
                f"{path} was trained with {name} {_plain(held[name])}, not {_plain(value)}: {HINT}"
            )


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def load_data(checkpoint: dict[str, Any]) -> ImageDataModule:
    """The data module that a checkpoint's model was trained on, with its binarisation and seeds,
    set up on the CPU.

    Raises:
        ValueError: If the checkpoint names none.
        FileNotFoundError: If the data are not there.
    """
    name = checkpoint["vae"].get("data")
    if not isinstance(name, str) or name not in DATA:
        raise ValueError(f"the checkpoint names no data set of this library (it says {name})")
    options = checkpoint.get("datamodule_hyper_parameters", {})
    try:
        data = DATA[name](**{k: v for k, v in options.items() if not k.startswith("_")})
    except Exception as error:  # another version's values raise anything
        raise ValueError(f"the checkpoint's data do not fit this version: {error}") from None
    data.prepare_data()
    data.setup()
    return data
