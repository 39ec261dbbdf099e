"""From a checkpoint back to its model, without Lightning.

>>> model = vae.load("runs/20261125-183058-digits-d5df7dc8")  # doctest: +SKIP
>>> images = model.sample(16)  # doctest: +SKIP
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jsonargparse
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from vae.models.checkpoint import read_checkpoint
from vae.models.composition import Composition, compose
from vae.models.files import find_checkpoint
from vae.models.memory import assert_trainable, skeleton
from vae.models.no_effect import tolerated
from vae.models.trust import assert_trusted, resolve, trusting
from vae.models.vae import VAE

__all__ = [
    "Loaded",
    "fill",
    "instantiate",
    "instantiate_class",
    "load",
    "plain_names",
    "read",
    "rebuild",
    "remade",
]

BATCH = 64
"""Images: what a checkpoint's model could not even be given one batch of, is not built."""

Made = TypeVar("Made")


class Loaded(NamedTuple):
    """A trained model, what it was trained by, and where it comes from.

    Attributes:
        composition: In evaluation mode, on the CPU.
        contents: The checkpoint's (:mod:`vae.models.checkpoint`).
        path: The checkpoint's.
    """

    composition: Composition
    contents: dict[str, Any]
    path: Path

    @property
    def vae(self) -> VAE:
        return self.composition.vae


def load(path: str | Path, module: nn.Module | None = None, trust: Sequence[str] = ()) -> VAE:
    """A trained model, in evaluation mode, on the CPU.

    Arguments:
        path: A checkpoint, or a run's folder, of which the best one is taken.
        module: Where the checkpoint does not say how to make its model again (it was made with a
            lambda, for example): a module made as it was, ``VAEModule(...)`` or
            ``compose(...)``, which is given the weights.
        trust: Modules of one's own, such as ``["mine"]``, whose classes the checkpoint names. To
            import a module runs its code.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it cannot be read, names a class that is not trusted, or does not fit.
    """
    with trusting(trust):
        if module is None:
            return read(path).vae
        path = find_checkpoint(path)
        weights = plain_names(read_checkpoint(path)["state_dict"])
        fill(module, weights, path)
        found = module.eval().vae
        assert isinstance(found, VAE)
        return found


def read(path: str | Path) -> Loaded:
    """As :func:`load`, with what the model was trained by."""
    path = find_checkpoint(path)
    contents = read_checkpoint(path)
    own = contents["vae"]
    if "together" in own:
        raise ValueError(f"{path} holds many models trained at once: name the run of one of them")
    if own["parts"] is None and own["model"] is None:
        raise ValueError(
            f"{path} does not say how to make its model again ({own['why_not']}): load it in Python"
            " by vae.load(path, module=...), with a module made as it was"
        )
    return Loaded(rebuild(contents, path).eval(), contents, path)


def rebuild(contents: dict[str, Any], path: Path) -> Composition:
    """The composition of a checkpoint, with its weights.

    Arguments:
        contents: What :func:`vae.models.checkpoint.read_checkpoint` returned.
        path: Where it came from, for messages.

    Raises:
        ValueError: If it names a class that is not trusted, or does not fit this version.
    """
    parts, spec = contents["vae"]["parts"], contents["vae"]["model"]
    if parts is not None:
        assert_trusted(parts, path)
        return _built(lambda: instantiate(compose, parts), contents, path)
    # of an older version, or of a module that makes its parts by itself
    module_class, options = resolve(spec["class_path"], nn.Module, path), spec["init_args"]
    assert_trusted(options, path)
    return _built(lambda: instantiate_class(module_class, options).composition, contents, path)


def instantiate_class(class_: type[Made], arguments: Mapping[str, Any]) -> Made:
    """What a class makes of plain values, in which parts are class paths.

    Raises:
        ValueError: If a value is not of its argument's type.
    """
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(class_, fail_untyped=False)
    return class_(**parser.instantiate(parser.parse_object(_copied(arguments))))


def remade(class_: type[Made], arguments: Mapping[str, Any], path: Path) -> Made:
    """As :func:`instantiate_class`, of what a checkpoint says.

    Raises:
        ValueError: If the class does not take it.
    """
    try:
        return instantiate_class(class_, arguments)
    except Exception as error:  # another version's values raise anything
        raise ValueError(f"{path} does not fit this version of the library: {error}") from None


def instantiate(function: Callable[..., Made], arguments: Mapping[str, Any]) -> Made:
    """As :func:`instantiate_class`, of a function.

    Raises:
        ValueError: If a value is not of its argument's type.
    """
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(function, fail_untyped=False)
    return function(**parser.instantiate(parser.parse_object(_copied(arguments))))


def _copied(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy at every depth: the parser puts objects of its own in place of mappings."""
    return copy.deepcopy(dict(arguments))


def _built(make: Any, contents: dict[str, Any], path: Path) -> Composition:
    weights = plain_names(contents["state_dict"])
    try:
        with tolerated():
            own = skeleton(make)  # nothing is stored until it fits
            assert_fits(own.state_dict(), weights)
            assert_trainable(own, BATCH)
            composition: Composition = make()
    except Exception as error:  # another version's values raise anything
        raise ValueError(f"{path} does not fit this version of the library: {error}") from None
    fill(composition, weights, path)
    return composition


def fill(module: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Gives a module its weights.

    Raises:
        ValueError: If they are not all there, are others, or are not finite.
    """
    try:
        assert_fits(module.state_dict(), weights)
        module.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} does not fit this version of the library: {error}") from None
    for name, parameter in module.named_parameters():
        if not parameter.isfinite().all():
            raise ValueError(
                f"{path} holds NaN or infinity in {name}: its training diverged, or the file is"
                " damaged; name another checkpoint of the run"
            )


def plain_names(weights: Mapping[Any, Any]) -> dict[Any, Any]:
    """Weights by the module's own names, without the prefixes that a wrapper adds to them.

    These are ``module.`` (DataParallel, DistributedDataParallel) and ``_orig_mod.``
    (torch.compile).
    """
    names = {name: name for name in weights}
    if all(isinstance(name, str) for name in names):
        names = {name: name.replace("_orig_mod.", "") for name in names}
        while names and all(name.startswith("module.") for name in names.values()):
            names = {name: plain.removeprefix("module.") for name, plain in names.items()}
    return {plain: weights[name] for name, plain in names.items()}


def assert_fits(own: Mapping[str, Tensor], found: Mapping[Any, Any]) -> None:
    """Names the first difference, where torch would list them all.

    Raises:
        ValueError: If a tensor is missing, unknown, or of another shape.
    """
    lacking, foreign = sorted(own.keys() - found.keys()), sorted(map(str, found.keys() - own))
    for names, verb in ((lacking, "lacks"), (foreign, "has an unknown")):
        if names:
            others = f" and {len(names) - 1} more" if names[1:] else ""
            raise ValueError(f"it {verb} {names[0]}{others}")
    for name, value in own.items():
        tensor = found[name]
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{name} is no tensor")
        if tensor.is_floating_point() != value.is_floating_point() or tensor.is_complex():
            raise ValueError(f"{name} is of {tensor.dtype}, not {value.dtype}")
        if not is_lazy(value) and tensor.shape != value.shape:
            raise ValueError(
                f"{name} has the shape {tuple(tensor.shape)}, not {tuple(value.shape)}"
            )
        strided = tensor.layout == torch.strided and not tensor.is_meta
        if not strided or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.itemsize:
            raise ValueError(f"{name} holds fewer numbers than its shape {tuple(tensor.shape)}")
