"""From a checkpoint to the data of its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import vae
from vae.data.batch import DataError
from vae.data.source import ImageSource, images_of
from vae.models.load import instantiate_class
from vae.models.parts import current_name
from vae.models.trust import assert_trusted, resolve

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule

__all__ = ["data_modules", "load_data", "load_images", "without_lightning"]


STATE = "PlainImages"
"""Where Lightning keeps the state of a user's plain data module in a checkpoint."""


def load_images(
    contents: Mapping[str, Any], data: LightningDataModule | ImageSource | None = None
) -> ImageSource:
    """The images that a checkpoint's model was trained on, or others for it; set up on the CPU.

    Lightning is imported for a user's own data module only.

    Arguments:
        contents: The checkpoint's (:mod:`vae.models.checkpoint`).
        data: A data module to take in place of the checkpoint's.

    Raises:
        ValueError: If the checkpoint does not say how to make its data module, that is not trusted,
            or its images have not the shape of the model's.
        FileNotFoundError: If the data are not there.
    """
    if data is not None:
        return _ready(images_of(data), contents, type(data).__name__)
    spec = _spec(contents)
    name = current_name(spec["class_path"])
    own = without_lightning(name)
    if own is None:
        return load_data(contents)
    made = _made({**spec, "class_path": own}, ImageSource)
    return _ready(made, contents, name.rpartition(".")[2])


def without_lightning(name: str) -> str | None:
    """The class of the images of one of our own data modules; None of another data module.

    The images of ``XDataModule`` in ``vae/data/file.py`` are ``X`` in ``vae/data/images/file.py``.

    Arguments:
        name: The data module's public name.
    """
    kind = name.removeprefix("vae.")
    if name == kind or kind not in data_modules():
        return None
    place = vae.PLACES[kind].replace("vae.data.", "vae.data.images.")
    return f"{place}.{kind.removesuffix('DataModule')}"


def data_modules() -> list[str]:
    """The names of our own data modules, without ``vae.``; none is imported."""
    base = "ImageDataModule"
    return [
        name
        for name, place in vae.PLACES.items()
        if place.startswith("vae.data.") and name.endswith("DataModule") and name != base
    ]


def load_data(contents: Mapping[str, Any]) -> ImageSource:
    """As :func:`load_images`, of the checkpoint: a data module, for Lightning's trainer.

    Raises:
        ValueError: As :func:`load_images`.
        FileNotFoundError: If the data are not there.
    """
    from lightning.pytorch import LightningDataModule

    data = _made(_spec(contents), LightningDataModule)
    source, state = images_of(data), contents.get(STATE)
    if source is not data and isinstance(state, dict):
        source = images_of(data, state.get("seed"))  # of the run, whose order is repeated
    return _ready(source, contents, type(data).__name__)


def _spec(contents: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] | None = contents["vae"].get("data")
    if spec is None:
        why = contents["vae"].get("data_why_not", "it holds no name of a data module")
        raise DataError(
            f"the checkpoint does not say how to make its data ({why}): name them, as in --data"
            " mine.MyData or --data DigitsDataModule"
        )
    return spec


def _ready(source: ImageSource, contents: Mapping[str, Any], name: str) -> ImageSource:
    """A source that is set up and fits the model."""
    source.prepare_data()
    source.setup()
    shape = image_shape(contents)
    if shape is not None and tuple(source.image_shape) != shape:
        raise DataError(
            f"the model is of images of shape {shape}, and {name} has images of"
            f" shape {tuple(source.image_shape)}"
        )
    return source


def _made(spec: Mapping[str, Any], base: type) -> Any:
    kind, options = (
        resolve(spec["class_path"], base, "the checkpoint"),
        spec.get("init_args") or {},
    )
    assert_trusted(options, "the checkpoint")
    try:
        return instantiate_class(kind, options)
    except Exception as error:  # values of another version raise anything
        raise DataError(f"the checkpoint's data do not fit this version: {error}") from None


def image_shape(contents: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape of a checkpoint's images, as far as it says."""
    own = contents["vae"]
    model = (own.get("model") or {}).get("init_args", {})
    for options in (own.get("parts") or {}, model, contents.get("hyper_parameters") or {}):
        if isinstance(options, Mapping) and options.get("image_shape"):
            return tuple(options["image_shape"])
    return None
