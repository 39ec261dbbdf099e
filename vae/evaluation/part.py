r"""A part of an evaluation: one question about a trained model.

``vae evaluate --ais`` asks the part whose name is ``ais``. A part answers for one batch of images
after the other, and its answers are kept an image each: so an evaluation that is cut short keeps
what it has, says of how many images it is, and goes on from there when it is asked again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from vae.data.source import ImageSource
from vae.estimators import Estimator
from vae.models.vae import VAE

__all__ = ["Bound", "Number", "Part", "Subject", "mean_of", "standard_error"]


Bound = Literal["lower bound", "upper bound", "exact", "estimate"]
"""What a number says about the one that is meant. Bounds hold in expectation."""


class Number(NamedTuple):
    """One number of an evaluation, with what it is.

    Attributes:
        name: In tables and in JSON: ``log_likelihood_5000``.
        value: The number.
        se: Its standard error, or None if it has none.
        bound: What it says about the number that is meant.
        unit: ``nats`` an image, ``%``, ``units``, ...
        labels: What else belongs to it: K, temperatures, chains, acceptance.
        warning: Why it is not to be trusted, in one line; empty if nothing speaks against it.
        images: Of how many images it is, where these are others than those evaluated on.
    """

    name: str
    value: float
    se: float | None = None
    bound: Bound = "estimate"
    unit: str = "nats"
    labels: Mapping[str, Any] = {}
    warning: str = ""
    images: int | None = None


class Subject(NamedTuple):
    """What is evaluated.

    Attributes:
        vae: The model with hard latents, in evaluation mode, on ``device``.
        trained: The model as it was trained, with relaxed latents if it has any.
        data: The images.
        split: Those of ``data`` to evaluate on.
        limit: Only the first so many images; None for all.
        device: Where.
        seed: Of everything that is drawn.
        estimator: What the model was trained by, on ``device``, where it is known.
    """

    vae: VAE
    trained: VAE
    data: ImageSource
    split: str
    limit: int | None
    device: torch.device
    seed: int
    estimator: Estimator | None = None


class Part(ABC):
    """A question about a trained model. Its constructor's arguments are options of ``vae evaluate``.

    An argument ``chains`` of the part ``ais`` is the option ``--ais_chains``, with its type, its
    default, and its line under ``Arguments:`` in the class's docstring as help. What the constructor is
    given is kept as attributes of the same names: they are part of the answers' identity.

    Attributes:
        name: The flag that asks for it.
        title: What it asks, in a few words, for lists.
        images: Of how many images by default; None for all of them.
        batch: The most images at a time, where it is the same for every model.
        values: The argument that words after the flag give: with ``samples``,
            ``--log_likelihood 10 100``. None if the flag stands alone.
        of_log_p: Whether its numbers, but for a rate, are of log p(x): on grey pixels a Bernoulli
            likelihood gives cross-entropies in their place.
        kept: What :meth:`prepare` has found and :meth:`numbers` needs, tensors by name. They are
            kept beside the answers.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    images: int | None = None
    batch: int | None = None
    values: ClassVar[str | None] = None
    of_log_p: ClassVar[bool] = False
    kept: Mapping[str, Tensor] = MappingProxyType({})

    def why_not(self, subject: Subject) -> str | None:
        """Why the question has no answer for this model or these data, in one line; else None."""
        return None

    def batch_size(self, subject: Subject) -> int | None:
        """The most images at a time: what is lost at most where an evaluation is cut short.

        None for the evaluation's own.
        """
        return self.batch

    def seconds(self, subject: Subject) -> float | None:
        """About how long one image takes, from a trial that lasts a second at most; None: no time.

        It is asked where a part is not, so that the user knows what it would cost.
        """
        return None

    def prepare(self, subject: Subject) -> None:  # noqa: B027  # there may be nothing to do
        """Finds what must be known before the first batch: a function of the subject alone.

        An evaluation that goes on calls it again; one that has all answers takes ``kept`` over.
        """

    @abstractmethod
    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        """The answers for a batch of images, a number or more for each.

        Arguments:
            subject: What is evaluated.
            x: Images ``(B, *image)``.
            first: The number of the first of them in the split. Whatever is drawn follows from it
                and the subject's seed, so that the answer is the same when the evaluation goes on.

        Returns:
            Tensors ``(B, *)`` by name.
        """

    @abstractmethod
    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        """What the table shows.

        Arguments:
            subject: What is evaluated.
            values: The answers of N images, float64 tensors ``(N, *)`` on the CPU, N at least 1.
        """

    def log_likelihoods(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the part says of log p(x), ``(N,)`` by name: compared on the same images as others'."""
        return {}

    def remarks(self, subject: Subject, values: Mapping[str, Tensor]) -> list[str]:
        """What is said beneath the table, a line each: a verdict, with its rule."""
        return []


def mean_of(name: str, values: Tensor, **about: Any) -> Number:
    """The mean of values ``(N,)`` over images, with its standard error; None of a single image."""
    values = values.double()
    return Number(name, values.mean().item(), standard_error(values), **about)


def standard_error(values: Tensor) -> float | None:
    """Of the mean of values ``(N,)``; None of a single one."""
    values = values.double()
    return (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None
