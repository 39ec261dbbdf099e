"""From a data module to the plain values that make it again; :mod:`vae.data.load` goes back.

A checkpoint holds, under ``["vae"]["data"]``, the class path of its data module and the arguments to
make it with. Where these are not known it holds None, and ``["vae"]["data_why_not"]`` says why: an
evaluation then asks for the data.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonargparse
from lightning.pytorch import LightningDataModule

from vae.data.plain import PlainImages
from vae.data.source import ImageSource
from vae.models.parts import Undescribable, describe, public_name

__all__ = ["data_names", "describe_data", "plain_hyper_parameters"]


def describe_data(data: Any) -> dict[str, Any]:
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
    accepted = _arguments(kind)  # type: ignore[arg-type]  # mypy: a class has no hash
    saved = {name: value for name, value in data.hparams.items() if name in accepted}
    if accepted and not saved:
        raise Undescribable(
            f"{kind.__qualname__} does not save its arguments: call self.save_hyperparameters() in"
            " its __init__"
        )
    return {"class_path": public_name(kind), "init_args": describe(saved)}


def data_names(data: LightningDataModule | ImageSource | None) -> dict[str, Any]:
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


@cache  # a parser takes milliseconds, at every checkpoint
def _arguments(kind: type) -> frozenset[str]:
    """The names of the arguments that a class takes, those that it passes on included."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, fail_untyped=False)
    return frozenset(parser.get_defaults().keys())
