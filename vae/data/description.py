"""From a data module to the plain values that make it again, and from a checkpoint to its data.

A checkpoint holds, under ``["vae"]["data"]``, the class path of its data module and the arguments to
make it with. Where these are not known it holds None, and ``["vae"]["data_why_not"]`` says why: an
evaluation then asks for the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonargparse
from lightning.pytorch import LightningDataModule

from vae.data import digits, mnist  # noqa: F401  # so that --data DigitsDataModule is known
from vae.data.batch import DataError
from vae.data.plain import PlainImages
from vae.data.source import ImageSource, images_of
from vae.models.load import instantiate_class
from vae.models.parts import Undescribable, describe, public_name
from vae.models.trust import assert_trusted, resolve

__all__ = ["data_names", "describe_data", "load_data", "plain_hyper_parameters"]


def describe_data(data: LightningDataModule) -> dict[str, Any]:
    """A data module as ``{"class_path": ..., "init_args": {...}}``.

    The arguments are those of its configuration or, if it was made in Python, those that it has
    saved (``save_hyperparameters``).

    Raises:
        Undescribable: If they are not known, or no plain values.
    """
    if isinstance(data, PlainImages):
        said: dict[str, Any] | None = describe(data.description)
        return said or describe_data(data.datamodule)
    kind = type(data)
    accepted = _arguments(kind)
    saved = {name: value for name, value in data.hparams.items() if name in accepted}
    if accepted and not saved:
        raise Undescribable(
            f"{kind.__qualname__} does not save its arguments: call self.save_hyperparameters() in"
            " its __init__"
        )
    return {"class_path": public_name(kind), "init_args": describe(saved)}


def data_names(data: LightningDataModule | None) -> dict[str, Any]:
    """What a checkpoint holds of its data module, under ``["vae"]``."""
    if data is None:
        return {"data": None, "data_why_not": "the trainer was given data loaders"}
    try:
        return {"data": describe_data(data)}
    except Undescribable as error:
        return {"data": None, "data_why_not": str(error)}


def plain_hyper_parameters(checkpoint: dict[str, Any]) -> None:
    """Makes plain values of the arguments that Lightning keeps of a data module, or drops them.

    With anything else in it, the checkpoint could not be read again.
    """
    key = LightningDataModule.CHECKPOINT_HYPER_PARAMS_KEY
    if key not in checkpoint:
        return
    try:
        checkpoint[key] = describe(checkpoint[key])
    except Undescribable:
        del checkpoint[key]


def _arguments(kind: type) -> set[str]:
    """The names of the arguments that a class takes, those that it passes on included."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, fail_untyped=False)
    return set(parser.get_defaults().keys())


def load_data(contents: Mapping[str, Any], data: LightningDataModule | None = None) -> ImageSource:
    """The data that a checkpoint's model was trained on, or other data for it; set up on the CPU.

    Arguments:
        contents: The checkpoint's (:mod:`vae.models.checkpoint`).
        data: A data module to take in place of the checkpoint's.

    Raises:
        ValueError: If the checkpoint does not say how to make its data module, that is not trusted,
            or its images have not the shape of the model's.
        FileNotFoundError: If the data are not there.
    """
    spec = contents["vae"].get("data")
    if data is None and spec is None:
        why = contents["vae"].get("data_why_not", "it holds no name of a data module")
        raise DataError(
            f"the checkpoint does not say how to make its data ({why}): name them, as in --data"
            " mine.MyData or --data DigitsDataModule"
        )
    if data is None:
        data = _made(spec)
        source = images_of(data)
        state = contents.get(PlainImages.__qualname__)
        if isinstance(source, PlainImages) and isinstance(state, dict):
            source.seed = state.get("seed", source.seed)  # of the run, whose order is repeated
    source = images_of(data)
    source.prepare_data()
    source.setup()
    shape = image_shape(contents)
    if shape is not None and tuple(source.image_shape) != shape:
        raise DataError(
            f"the model is of images of shape {shape}, and {type(data).__name__} has images of"
            f" shape {tuple(source.image_shape)}"
        )
    return source


def _made(spec: Mapping[str, Any]) -> LightningDataModule:
    kind, options = (
        resolve(spec["class_path"], LightningDataModule, "the checkpoint"),
        spec.get("init_args") or {},
    )
    assert_trusted(options, "the checkpoint")
    try:
        made: LightningDataModule = instantiate_class(kind, options)
    except Exception as error:  # values of another version raise anything
        raise DataError(f"the checkpoint's data do not fit this version: {error}") from None
    return made


def image_shape(contents: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape of a checkpoint's images, as far as it says."""
    own = contents["vae"]
    model = (own.get("model") or {}).get("init_args", {})
    for options in (own.get("parts") or {}, model, contents.get("hyper_parameters") or {}):
        if isinstance(options, Mapping) and options.get("image_shape"):
            return tuple(options["image_shape"])
    return None
