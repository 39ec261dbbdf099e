"""A module composed of parts, and how a checkpoint names them."""

from __future__ import annotations

import inspect
from typing import Any

import jsonargparse
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.parsing import AttributeDict
from torch import Tensor
from torch.distributions import Distribution

from vae.estimators import Estimate
from vae.models.bound import bound
from vae.models.checkpoint import Spec
from vae.models.composition import Composition, compose
from vae.models.parts import Undescribable, describe, public_name
from vae.recorded import Recorded, arguments_of

__all__ = ["ComposedModule"]

HOW = ("compile", "capture")
"""Options of how a machine trains a model, and not of the model: a checkpoint does not keep them."""


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
        """The bound at images ``(B, *image)``, in nats, with shape (B,), and the estimator's own
        loss."""
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
        """What a checkpoint holds of the module's and the parts' names
        (:mod:`vae.models.checkpoint`)."""
        found: dict[str, Any] = {"model": None, "parts": None}
        try:
            found["model"] = self.spec()
        except Undescribable as error:
            found["why_not"] = str(error)
        try:
            found["parts"] = describe(self._parts)
        except Undescribable as error:
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
