"""From a checkpoint back to the Lightning modules that made it."""

from __future__ import annotations

from pathlib import Path

from vae.models.effects import tolerated
from vae.models.load import fill, instantiate_class, plain_names
from vae.models.trust import assert_trusted, resolve
from vae.run.checkpoint import load
from vae.training.module import VAEModule

__all__ = ["load_module"]


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
