"""A checkpoint's file: what is in it, and how it is read.

It holds plain values and tensors only, so that reading it runs no code. Beside Lightning's own keys
it has ``vae``, a mapping:

* ``model``: the module's ``class_path`` and ``init_args``, from which it is made again; None where
  there are no plain values that would, and ``why_not`` says it;
* ``parts``: the arguments of :func:`vae.models.composition.compose`, likewise, from which the model
  is made without Lightning; or None;
* ``data``: the data module's ``class_path`` and ``init_args``, or None;
* ``stored``: ``float16`` where the weights take half the space (:mod:`vae.models.half`);
* of a run's state: ``generators``, ``precision``, ``rows``, ``seconds``, ``stopped``, ``validated``.

A model from the Hugging Face hub (:mod:`vae.models.hub_folder`) is read as such contents too.

Older ones hold, in place of these, the classes' bare names and Lightning's hyper-parameters;
:func:`read_checkpoint` gives those in the new form.
"""

from __future__ import annotations

import errno
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vae.models.half import STORED, restored
from vae.models.hub_folder import WEIGHTS, read_folder
from vae.models.parts import current_name

__all__ = ["Spec", "has_parts", "read_checkpoint"]

Spec = dict[str, Any]
"""``{"class_path": ..., "init_args": {...}}``: a class, and plain values to make it with."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, on the CPU, whatever device made it.

    Raises:
        ValueError: If the file cannot be read, is damaged, or not a checkpoint of this library.
    """
    checkpoint = read_folder(path) if path.name == WEIGHTS else _read(path)
    parts = {"vae": dict, "state_dict": dict}
    if not isinstance(checkpoint, dict) or not has_parts(checkpoint, parts):
        raise ValueError(f"{path} is not a checkpoint of a VAE of this library")
    own = checkpoint["vae"]
    if "model" not in own:
        _modernise(checkpoint)
    for name in ("model", "data"):
        spec = own.get(name)
        unsaid = spec is None and (name == "data" or own.get("why_not"))
        if not _is_spec(spec) and not unsaid:
            raise ValueError(f"{path} names no class for its {name}: it is damaged")
    if not isinstance(own.setdefault("parts", None), (dict, type(None))):
        raise ValueError(f"{path} does not say what its model is made of: it is damaged")
    if own.get("stored") == STORED:
        checkpoint["state_dict"] = restored(checkpoint["state_dict"])
    return checkpoint


def _read(path: Path) -> Any:
    """What torch has saved."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch remarks on foreign files
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as file:
                    if any(m.compress_type != zipfile.ZIP_STORED for m in file.infolist()):
                        raise ValueError("it is compressed, which torch's own never are")
                    if broken := file.testzip():
                        raise ValueError(f"bad checksum of {broken}")
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged bytes raise anything
        raise ValueError(f"{path} {_complaint(path, error)}") from None


def has_parts(checkpoint: Mapping[str, Any], parts: Mapping[str, type]) -> bool:
    """Whether a mapping has these keys, with values of these types."""
    return all(isinstance(checkpoint.get(name), kind) for name, kind in parts.items())


def _is_spec(spec: Any) -> bool:
    return (
        isinstance(spec, dict)
        and isinstance(spec.get("class_path"), str)
        and isinstance(spec.get("init_args", {}), dict)
        and all(isinstance(name, str) for name in spec.get("init_args", {}))
    )


def _modernise(checkpoint: dict[str, Any]) -> None:
    """Gives a checkpoint of an older version the keys of this one."""
    own = checkpoint["vae"]
    for new, old, options in (
        ("model", "module", "hyper_parameters"),
        ("data", "data", "datamodule_hyper_parameters"),
    ):
        name, held = own.get(old), checkpoint.get(options)
        if isinstance(name, str):
            values = held if isinstance(held, dict) else {}
            plain = {k: v for k, v in values.items() if not str(k).startswith("_")}
            # of classes of this library: it held the name alone
            own[new] = {"class_path": current_name(f"vae.{name}"), "init_args": plain}
        else:
            own[new] = None
    own["parts"] = None


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
