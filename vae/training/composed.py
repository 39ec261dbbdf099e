"""A module composed of parts, and how a checkpoint names them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonargparse
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.parsing import AttributeDict
from torch import Tensor
from torch.distributions import Distribution

from vae.estimators import Estimate
from vae.models.bound import bound
from vae.models.checkpoint import Spec, read_checkpoint
from vae.models.composition import Composition, compose
from vae.models.files import find_checkpoint
from vae.models.load import fill, plain_names, remade
from vae.models.no_effect import tolerated
from vae.models.parts import Undescribable, describe, public_name
from vae.models.trust import assert_trusted, resolve, trusting
from vae.recorded import Recorded, arguments_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ComposedModule"]

HOW = ("compile", "capture")
"""Options of the machine that trains, not of the model: a checkpoint does not keep them."""


class ComposedModule(LightningModule, metaclass=Recorded):
    """A model with its bound and estimator, which says in its checkpoints what it is made of.

    Arguments:
        parts: Those of :func:`vae.models.composition.compose`.
    """

    described: Spec | None = None
    """The class and its arguments, as a command line has them; else they are found out."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        given = inspect.signature(compose).bind(**parts)
        given.apply_defaults()
        self._parts = dict(given.arguments)
        composition = compose(**parts)
        self.vae, self.objective = composition.vae, composition.objective
        self.estimator, self.schedules = composition.estimator, composition.schedules

    @property
    def composition(self) -> Composition:
        """The model with what it is trained by, without Lightning; it shares all weights."""
        return Composition(self.vae, self.objective, self.estimator, self.schedules)

    def bound(self, x: Tensor) -> Estimate:
        """The bound at images ``(B, *image)``, in nats, (B,), with the estimator's own loss."""
        return bound(self.vae, self.objective, self.estimator, x)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions of images ``(B, *image)``: :meth:`vae.models.vae.VAE.forward`."""
        return self.vae(x)

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x): :meth:`vae.models.vae.VAE.posterior`."""
        return self.vae.posterior(x)

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z): :meth:`vae.models.vae.VAE.decode`."""
        return self.vae.decode(z)

    def sample(self, num_samples: int = 16, draw: bool = False) -> Tensor:
        """Images ``(num_samples, *image)``: :meth:`vae.models.vae.VAE.sample`."""
        return self.vae.sample(num_samples, draw)

    def log_likelihood(self, x: Tensor, num_samples: int = 5000) -> Tensor:
        """The estimate of log p(x) in nats, (B,): :meth:`vae.models.vae.VAE.log_likelihood`."""
        return self.vae.log_likelihood(x, num_samples)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: Any = None,
        trust: Sequence[str] = (),
        **kwargs: Any,
    ) -> Self:
        """The module of a checkpoint, with its weights, in evaluation mode.

        Arguments:
            checkpoint_path: A checkpoint, or a run's folder.
            map_location: The device; by default the CPU.
            trust: Modules of one's own whose classes it names (:mod:`vae.models.trust`).
            kwargs: Arguments of the constructor in place of those of the checkpoint.

        Raises:
            FileNotFoundError: If there is no checkpoint.
            ValueError: If it cannot be read, names a class that is not trusted or no subclass of
                this one, or does not fit.
        """
        path = find_checkpoint(checkpoint_path)
        contents = read_checkpoint(path)
        spec, options = contents["vae"]["model"], {"strict", "weights_only", "hparams_file"}
        if spec is None:
            raise ValueError(
                f"{path} does not say how to make its model again ({contents['vae']['why_not']}):"
                " make it as it was, and load the checkpoint's state_dict"
            )
        with trusting(trust), tolerated():
            assert_trusted(spec, path)
            made = resolve(spec["class_path"], cls, path)
            own = {k: v for k, v in kwargs.items() if k not in options}
            module: Self = remade(made, spec["init_args"] | own, path)
        fill(module, plain_names(contents["state_dict"]), path)
        return module.eval().to(map_location or "cpu")

    def describe_as(self, spec: Mapping[str, Any]) -> None:
        """Says what this module was made with, where a configuration has it.

        Arguments:
            spec: Its ``class_path`` and ``init_args``, as plain values.
        """
        options = {k: v for k, v in spec.get("init_args", {}).items() if k not in HOW}
        options["image_shape"] = list(self._parts["image_shape"])
        self.described = {"class_path": spec["class_path"], "init_args": options}

    def spec(self) -> Spec:
        """The class of this module and the arguments that make it again, as plain values.

        Raises:
            Undescribable: If one of them has no plain value, as a lambda has none.
        """
        if self.described is None:
            arguments = _defaults(type(self)) | (arguments_of(self) or {})
            self.described = {
                "class_path": public_name(type(self)),
                "init_args": describe({k: v for k, v in arguments.items() if k not in HOW}),
            }
        return self.described

    def names(self) -> dict[str, Any]:
        """The class paths in a checkpoint, of the module and of its parts.

        See :mod:`vae.models.checkpoint`.
        """
        found: dict[str, Any] = {"model": None, "parts": None}
        try:
            found["model"] = self.spec()
        except Undescribable as error:
            found["why_not"] = str(error)
        try:
            found["parts"] = describe(self._parts)
        except Undescribable as error:
            options = self.described["init_args"] if self.described else {}
            if options.keys() >= self._parts.keys():  # as the command line has them
                found["parts"] = {name: options[name] for name in self._parts}
            else:
                found.setdefault("why_not", str(error))
        return found

    @property
    def hparams(self) -> AttributeDict:
        """The arguments of the constructor, as plain values; none, if there are no such values."""
        try:
            return AttributeDict(self.spec()["init_args"])
        except Undescribable:
            return AttributeDict()


def _defaults(module_class: type) -> dict[str, Any]:
    """The defaults of all arguments that a class takes, those that it passes on included."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(module_class, fail_untyped=False)
    return parser.get_defaults().as_dict()
