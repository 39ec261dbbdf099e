"""Checks before training, of what would fail after hours or do something other than it says."""

from __future__ import annotations

import importlib
import inspect
import os
from pathlib import Path
from typing import Any

import jsonargparse
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from lightning.pytorch.strategies import SingleDeviceStrategy

from vae.data.source import ImageSource
from vae.devices import takes_graphs
from vae.models.likelihoods import assert_defined
from vae.models.load import instantiate_class
from vae.models.memory import DECODINGS, assert_trainable, skeleton
from vae.models.parts import current_name
from vae.training.module import VAEModule

__all__ = [
    "assert_feasible",
    "assert_fits_in_memory",
    "assert_no_nulls",
    "assert_runs_here",
    "assert_supported",
    "make_absolute",
    "name_by_public_names",
]


MOST_IMAGES = 60_000
"""The most images that a batch can hold, assumed while the data set is not read yet."""

PRECISIONS = ("None", "32", "32-true", "bf16-mixed", "16-mixed")
"""The trainer's precisions that are supported."""

TUNERS = (BatchSizeFinder, LearningRateFinder)
"""Callbacks that train by themselves, with an optimisation loop of their own."""


def class_of(path: str) -> Any:
    """The class at a dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def name_by_public_names(options: Any) -> None:
    """Gives every class in parsed options its present name; files of this library move."""
    for key, value in vars(options).items():
        if isinstance(value, jsonargparse.Namespace):
            name_by_public_names(value)
        elif key == "class_path":
            options[key] = current_name(value)


def make_absolute(data: Any) -> None:
    """Makes absolute the paths among the parsed options of a data module."""
    given = data.get("init_args", jsonargparse.Namespace())
    for name in getattr(class_of(data.class_path), "paths", ()):
        if isinstance(given.get(name), str):
            given[name] = str(Path(given[name]).expanduser().absolute())


def defaults_of(class_: type) -> dict[str, Any]:
    """The defaults of a class's arguments, and of those that it passes on."""
    signatures = [inspect.signature(base.__init__) for base in reversed(class_.__mro__)]  # type: ignore[misc]
    return {name: p.default for s in signatures for name, p in s.parameters.items()}


def assert_no_nulls(options: Any, defaults: dict[str, Any]) -> None:
    """Refuses null for an option whose default is a value.

    Arguments:
        options: The parsed options of ``fit``.
        defaults: The parser's defaults of the options that belong to no class.

    Raises:
        ValueError: If one is null.
    """
    if isinstance(options.seed_everything, bool):
        raise ValueError("seed_everything takes a number: the data's order depends on it")
    for name, default in defaults.items():
        if default is not None and options[name] is None:
            raise ValueError(f"{name} is empty: give it a value, or leave it out")
    for part in ("model", "data"):
        given = options[part].get("init_args", jsonargparse.Namespace()).as_dict()
        for name, default in defaults_of(class_of(options[part].class_path)).items():
            if default is not None and name in given and given[name] is None:
                raise ValueError(f"{part}.{name} is empty: give it a value, or leave it out")


def assert_supported(trainer: Any) -> None:
    """Refuses options of the trainer that this library has in another place, or not at all.

    Arguments:
        trainer: The trainer's parsed options.

    Raises:
        ValueError: If one is set.
    """
    precision = str(trainer.precision)
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision}: use 32-true, bf16-mixed or 16-mixed")
    for name in ("gradient_clip_val", "gradient_clip_algorithm"):
        if trainer[name]:
            raise ValueError(f"{name} is the trainer's: use --model.gradient_clip_norm")
    if trainer.accumulate_grad_batches > 1:
        raise ValueError("accumulate_grad_batches is not supported: use a larger batch_size")


def assert_fits_in_memory(options: Any, models: int = 1) -> None:
    """Refuses a model that is too large for this machine, without building it.

    Arguments:
        options: The parsed options of ``fit``.
        models: How many models are trained at once.

    Raises:
        ValueError: If it is too large, or an option is invalid.
    """
    model, data = (class_of(options[part].class_path) for part in ("model", "data"))
    arguments = options.model.get("init_args", jsonargparse.Namespace()).as_dict()
    arguments["image_shape"] = getattr(data, "image_shape", None)
    if not isinstance(arguments["image_shape"], tuple):
        return  # known when the data are: assert_feasible
    try:
        module = skeleton(lambda: instantiate_class(model, arguments))
    except (TypeError, RuntimeError) as error:  # it cannot be built on torch's meta device
        if isinstance(error, NotImplementedError):
            raise
        return
    given = options.data.get("init_args", jsonargparse.Namespace())
    batch_size = given.get("batch_size") or 1  # the class itself refuses what is no number
    assert_trainable(module, max(2, min(batch_size, MOST_IMAGES)), models)


def assert_feasible(model: VAEModule, data: ImageSource) -> None:
    """Refuses a training that would fail, or mean nothing, after hours.

    Raises:
        ValueError: If the model is too large, the likelihood or the objective undefined for the
            data, or the test would take weeks.
    """
    images = data.count("test") or 0  # a stream does not say
    assert_trainable(model, min(data.batch_size, data.count("train") or data.batch_size))
    assert_defined(model.vae.likelihood, data.levels, data.binarization)
    if count := data.count("train"):
        model.objective.check_images(count)
    if images * model.test_samples > DECODINGS:
        raise ValueError(
            f"test_samples {model.test_samples}: the test of {images} images"
            f" would take weeks; give at most {DECODINGS // images}"
        )


def assert_runs_here(trainer: Trainer, model: VAEModule) -> None:
    """Refuses what this machine cannot do with this trainer.

    Raises:
        ValueError: If a tuner is among the callbacks, there are more processes than processors,
            or the model cannot be captured or compiled.
    """
    if any(isinstance(callback, TUNERS) for callback in trainer.callbacks):  # type: ignore[attr-defined]
        raise ValueError("a finder of step or batch sizes is not supported: vary them (README)")
    device, processors = trainer.strategy.root_device, os.cpu_count() or 1
    if device.type == "cpu" and trainer.num_devices > processors:
        raise ValueError(
            f"trainer.devices {trainer.num_devices}: as many processes on {processors}"
            " processors; use fewer"
        )
    one = takes_graphs(device) and isinstance(trainer.strategy, SingleDeviceStrategy)
    if model.captured and not (one and trainer.precision == "32-true"):
        raise ValueError(
            f"capture is for one CUDA device in 32-true precision, not for {device} in"
            f" {trainer.precision}: leave out --model.capture"
        )
    if model.compiled:
        assert_compiles(device)


def assert_compiles(device: torch.device) -> None:
    """Refuses to compile where torch.compile does not work.

    Raises:
        ValueError: If it fails on a small function.
    """
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(2, device=device))
    except Exception as error:  # of many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"torch.compile does not work here ({reason}): leave out --model.compile"
        ) from error
