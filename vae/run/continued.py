"""Checks that a run is continued with its own configuration, model and data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonargparse

from vae.models.checkpoint import Spec
from vae.models.load import plain_names, rebuild
from vae.models.parts import current_name
from vae.models.trust import class_names, trusting
from vae.run.plain_yaml import read_yaml
from vae.training.composed import HOW
from vae.training.lightning_private import SavedPosition, saved_position

__all__ = [
    "FREE",
    "FREE_OF_TRAINER",
    "assert_not_past",
    "assert_same_data",
    "assert_same_model",
    "assert_same_options",
    "assert_same_run",
    "roots",
]


HINT = "continue with the run's own configuration (vae resume RUN)"
"""The end of a refusal: what to do instead."""

FREE = frozenset(
    "model data trainer seed_everything ckpt_path group tags image_every report"
    " checkpoint_every_n_steps checkpoint_every_n_minutes".split()
)
"""Options that may differ, or that are compared with the checkpoint itself."""

FREE_OF_TRAINER = frozenset(
    "max_epochs min_epochs max_steps min_steps max_time accelerator strategy callbacks logger"
    " log_every_n_steps enable_checkpointing enable_progress_bar enable_model_summary profiler"
    " default_root_dir detect_anomaly deterministic benchmark inference_mode barebones plugins"
    " num_sanity_val_steps limit_test_batches limit_predict_batches val_check_interval"
    " check_val_every_n_epoch fast_dev_run".split()
)
"""Options of the trainer that may differ: how long it trains, on which device, what it shows, and
when it validates."""


def assert_same_run(folder: Path, options: Mapping[str, Any]) -> None:
    """Refuses to continue a run otherwise than it was begun.

    Arguments:
        folder: The run's, with its ``config.yaml``; without one there is nothing to compare.
        options: As a mapping of mappings.

    Raises:
        ValueError: If an option differs that changes what is trained, or on how many processes.
    """
    path = folder / "config.yaml"
    if not path.exists():
        return
    before = read_yaml(path)
    _assert_same_options(path, "", before, options, FREE)
    _assert_same_options(
        path, "trainer.", before.get("trainer"), options["trainer"], FREE_OF_TRAINER
    )


def _assert_same_options(
    path: Path, prefix: str, before: Any, asked: Mapping[str, Any], free: frozenset[str]
) -> None:
    for name, value in (before if isinstance(before, dict) else {}).items():
        if (
            name in asked
            and name not in free
            and _as_trainer_takes(name, value) != _as_trainer_takes(name, asked[name])
        ):
            raise ValueError(
                f"{prefix}{name} was {value} in {path}, not {asked[name]}: that would be another"
                " run; leave it as it was, or train anew"
            )


def _as_trainer_takes(name: str, value: Any) -> str:
    """A text that is the same for all values that mean the same to the trainer."""
    if name == "precision" and value in (None, 32, "32"):
        return "32-true"
    return "1.0" if name.startswith("limit_") and value is None else str(value)


def assert_same_model(path: Path, checkpoint: dict[str, Any], model: Any) -> None:
    """Refuses to continue a run with another model than its own.

    Lightning would silently train the checkpoint's.

    Arguments:
        path: The checkpoint's.
        checkpoint: What it holds.
        model: The configuration's ``class_path`` and ``init_args``, whose modules are trusted.

    Raises:
        ValueError: If the class or an option differs, other than how it is tested, or the
            checkpoint is of another version.
    """
    held = checkpoint["vae"]["model"]
    if "together" in checkpoint["vae"]:
        raise ValueError(f"{path} holds many models trained at once: continue by vae resume RUN")
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
    assert_same_options(path, held, model)


def assert_same_options(path: Path, held: Spec, model: Any) -> None:
    """Refuses to continue a model as another class, or with other options.

    Arguments:
        path: The checkpoint's.
        held: The class and the options that it names.
        model: The configuration's ``class_path`` and ``init_args``.

    Raises:
        ValueError: If the class or an option differs.
    """
    _assert_same_class(path, held, model, "holds a")
    free = {"image_shape", "test_samples", *HOW}
    _assert_same(path, held["init_args"], model.get("init_args"), free)


def roots(*specs: Any) -> list[str]:
    """The modules whose classes a configuration names; of torch, which does everything, a part."""
    names = {name for spec in specs for name in class_names(spec)}
    found = {
        n.rpartition(".")[0] if n.startswith("torch.") else n.partition(".")[0] for n in names
    }
    return sorted(found - {"vae"})  # of which the classes are trusted anyway


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
    free = {"eval_batch_size", "steps_per_batch"}
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
    epochs, steps, *_ = _position(path, checkpoint)
    for name, most, done in (("epochs", max_epochs, epochs), ("steps", max_steps, steps)):
        if most is not None and -1 < most < done:
            raise ValueError(f"max_{name} {most} is less than what {path} has done ({done})")


def _position(path: Path, checkpoint: dict[str, Any]) -> SavedPosition:
    try:
        return saved_position(checkpoint)
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
    """A form in which a checkpoint's value and a configuration's can be compared."""
    if isinstance(value, jsonargparse.Namespace):
        value = value.as_dict()
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items() if part not in ({}, None)}
    if isinstance(value, str):
        return current_name(value)
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
