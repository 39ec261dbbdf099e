"""A run's checkpoints: the one to evaluate, the one to continue from, and whether it can be."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonargparse
import torch
from lightning.pytorch import LightningDataModule

from vae.data.source import ImageSource, images_of
from vae.models import files
from vae.models.checkpoint import Spec, has_parts, read_checkpoint
from vae.models.effects import tolerated
from vae.models.files import PREVIOUS
from vae.models.load import Loaded, fill, instantiate_class, plain_names, read, rebuild
from vae.models.parts import current_name
from vae.models.trust import class_names, resolve, trusting
from vae.run.finding import find_runs
from vae.run.folder import runs_dir
from vae.training.composed import HOW
from vae.training.module import VAEModule

__all__ = [
    "assert_not_past",
    "assert_same_data",
    "assert_same_model",
    "can_go_on",
    "find_checkpoint",
    "find_last",
    "folder_of",
    "how_to_go_on",
    "load",
    "load_data",
    "load_module",
    "newest_run",
    "roots",
]


RUN_STATE = {
    "callbacks": dict,
    "epoch": int,
    "global_step": int,
    "loops": dict,
    "lr_schedulers": list,
    "optimizer_states": list,
}
"""What a run is continued from, besides its model."""


HINT = "continue with the run's own configuration (vae resume RUN)"


def newest_run() -> Path:
    """The run that was started last, of those that have a checkpoint.

    Raises:
        FileNotFoundError: If there is none.
    """
    runs = find_runs()
    if not runs:
        raise FileNotFoundError(
            f"no run with a checkpoint in {runs_dir()}: train one first (vae fit), or name a checkpoint"
        )
    return runs[-1]


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
        return f"continue: vae resume {shlex.quote(str(run))}"
    return "start it anew: there is no checkpoint to continue from yet"


def folder_of(path: Path) -> Path:
    """Where what is made from a checkpoint goes: its run's folder, or the one that it lies in."""
    if path.parent.name in ("", ".."):  # named from inside
        path = Path(os.path.abspath(path))
    return path.parent.parent if path.parent.name == "checkpoints" else path.parent


def _read_run_state(path: Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    if not has_parts(checkpoint, RUN_STATE) or not has_parts(
        checkpoint["vae"], {"generators": dict}
    ):
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
        and has_parts(optimizers[0], parts),
        "number of steps": 0 <= checkpoint["global_step"] < 2**63,
    }
    return [name for name, fine in sound.items() if not fine]


def find_checkpoint(path: str | Path | None = None, prefer: str = "best.ckpt") -> Path:
    """A checkpoint, from its own path, from a run's folder (its best, or what to ``prefer``), or
    from nothing (the newest run's).

    Raises:
        FileNotFoundError: If it is not there.
    """
    return files.find_checkpoint(newest_run() if path is None else path, prefer)


def load(path: str | Path | None = None) -> Loaded:
    """A trained model with what it was trained by, its checkpoint's contents, and the path that
    they came from.

    Arguments:
        path: A checkpoint, a run's folder, or None for the newest run.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it cannot be read, names a class that is not trusted, or does not fit.
    """
    return read(find_checkpoint(path))


def load_module(path: str | Path | None = None) -> VAEModule:
    """The Lightning module of a checkpoint, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: As :func:`load`.
    """
    loaded = load(path)
    spec = loaded.contents["vae"]["model"]
    module_class = resolve(spec["class_path"], VAEModule, loaded.path)
    with tolerated():
        module: VAEModule = instantiate_class(module_class, spec["init_args"])
    fill(module, plain_names(loaded.contents["state_dict"]), loaded.path)
    return module.eval()


def assert_same_model(path: Path, checkpoint: dict[str, Any], model: Any) -> None:
    """Refuses to continue a run with another model than its own: Lightning would train that of
    the checkpoint, and not say so.

    Arguments:
        path: The checkpoint's.
        checkpoint: What it holds.
        model: The configuration's ``class_path`` and ``init_args``, whose modules are trusted.

    Raises:
        ValueError: If the class or an option differs, or the checkpoint is of another version.
    """
    held = checkpoint["vae"]["model"]
    if held is None:
        raise ValueError(
            f"{path} does not say how to make its model again ({checkpoint['vae']['why_not']}):"
            " continue it in Python, by trainer.fit(module, data, ckpt_path=...)"
        )
    if plain_names(checkpoint["state_dict"]).keys() != checkpoint["state_dict"].keys():
        raise ValueError(
            f"{path} holds the weights of a wrapped module (module. or _orig_mod. in their"
            " names): it can be evaluated, but not continued"
        )
    with trusting(roots(model)):
        rebuild(checkpoint, path)
    _assert_same_class(path, held, model, "holds a")
    _assert_same(path, held["init_args"], model.get("init_args"), {"image_shape", *HOW})


def roots(*specs: Any) -> list[str]:
    """The modules whose classes a configuration names."""
    return sorted({name.partition(".")[0] for spec in specs for name in class_names(spec)})


def assert_same_data(path: Path, checkpoint: dict[str, Any], data: Any) -> None:
    """Refuses to continue a run on other data than its own, or in another order.

    Arguments:
        path: The checkpoint's.
        checkpoint: What it holds.
        data: The configuration's ``class_path`` and ``init_args``.

    Raises:
        ValueError: If the class or an option differs; the grouping of steps may, between epochs.
    """
    held = checkpoint["vae"]["data"]
    if held is None:
        return  # nothing is known of them
    _assert_same_class(path, held, data, "was trained on")
    free = {"eval_batch_size"} | (set() if _position(path, checkpoint)[2] else {"steps_per_batch"})
    _assert_same(path, held.get("init_args", {}), data.get("init_args"), free)


def _assert_same_class(path: Path, held: Spec, asked: Any, verb: str) -> None:
    before, now = current_name(held["class_path"]), current_name(asked.class_path)
    if before != now:
        on = "on " if verb.endswith(" on") else "a "
        names = [name.removeprefix("vae.") for name in (before, now)]
        raise ValueError(f"{path} {verb} {names[0]}, not {on}{names[1]}: {HINT}")


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
    """Equal for what is the same in a checkpoint and in a configuration."""
    if isinstance(value, jsonargparse.Namespace):
        value = value.as_dict()
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items() if part not in ({}, None)}
    if isinstance(value, str):
        return current_name(value)
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def load_data(checkpoint: dict[str, Any]) -> ImageSource:
    """The data module that a checkpoint's model was trained on, with its binarisation and seeds,
    set up on the CPU.

    Raises:
        ValueError: If the checkpoint names none.
        FileNotFoundError: If the data are not there.
    """
    spec = checkpoint["vae"]["data"]
    if spec is None:
        raise ValueError("the checkpoint does not say on which data its model was trained")
    data_class = resolve(spec["class_path"], LightningDataModule, "the checkpoint")
    try:
        data = images_of(instantiate_class(data_class, spec.get("init_args", {})))
    except Exception as error:  # another version's values raise anything
        raise ValueError(f"the checkpoint's data do not fit this version: {error}") from None
    data.prepare_data()
    data.setup()
    return data
