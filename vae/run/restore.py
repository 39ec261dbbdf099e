"""From a checkpoint back to the Lightning modules that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule

from vae.data.source import ImageSource, images_of
from vae.models.effects import tolerated
from vae.models.load import fill, instantiate_class, plain_names
from vae.models.trust import assert_trusted, resolve
from vae.run.checkpoint import load
from vae.training.module import VAEModule

__all__ = ["load_data", "load_module"]


def load_module(path: str | Path | None = None) -> VAEModule:
    """The Lightning module of a checkpoint, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: As :func:`load`.
    """
    loaded = load(path)
    spec = loaded.contents["vae"]["model"]
    assert_trusted(spec["init_args"], loaded.path)
    module_class = resolve(spec["class_path"], VAEModule, loaded.path)
    with tolerated():
        module: VAEModule = instantiate_class(module_class, spec["init_args"])
    fill(module, plain_names(loaded.contents["state_dict"]), loaded.path)
    return module.eval()


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
    assert_trusted(spec, "the checkpoint")
    data_class = resolve(spec["class_path"], LightningDataModule, "the checkpoint")
    try:
        data = images_of(instantiate_class(data_class, spec.get("init_args", {})))
    except Exception as error:  # another version's values raise anything
        raise ValueError(f"the checkpoint's data do not fit this version: {error}") from None
    data.prepare_data()
    data.setup()
    return data
