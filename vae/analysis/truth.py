"""The exact gradient of a bound, or a stand-in, and how far an estimator is from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae.analysis.cost import cost
from vae.analysis.gradients import posterior_gradients
from vae.analysis.moments import Moments, summarize
from vae.distributions.operations import base_of, sizes
from vae.distributions.quantised import Quantised
from vae.estimators import ESTIMATORS, Enumerate, Estimator, StraightThroughCodes
from vae.models.vae import VAE
from vae.objectives import Average, LogMeanExp, Objective

__all__ = ["Truth", "assert_defined", "measure", "true_gradient"]


MAX_DECODED, MAX_TUPLES = 2**16, 2**22
"""The most latents to decode, and entries of tuples of K latents, in an enumeration: gigabytes."""


class Truth(NamedTuple):
    """What stands for the true gradient.

    Attributes:
        moments: Of the gradient in the parameters of q, and in those of the encoder.
        source: How it was computed, in words.
    """

    moments: list[Moments]
    source: str


def true_gradient(
    vae: VAE, objective: Objective, x: Tensor, replicates: int, chunk: int, seed: int
) -> Truth:
    """The gradient of the mean bound: by enumeration, else the mean of many unbiased estimates.

    Of a point mass it is zero, and what is called bias is all that an estimator puts in its place.

    Arguments:
        vae: The model.
        objective: The bound.
        x: Images, ``(B, *image)``.
        replicates: The number of estimates where the latents are too many to enumerate.
        chunk: Estimates at a time.
        seed: The report's seed. The estimates are drawn with the next one, so that they are not
        those that are measured.
    """
    torch.manual_seed(seed + 1)
    if isinstance(base_of(vae.posterior(x[:1])), Quantised):
        moments = [Moments(), Moments()]
        _add(moments, posterior_gradients(vae, objective, StraightThroughCodes(), x, 1, 1), 0.0)
        return Truth(moments, "zero: q is a point mass, which does not change with its parameters")
    name, n = "enumerate", 1
    try:
        assert_defined(vae, objective, Enumerate(), x)
    except (NotImplementedError, ValueError):
        bounds = {Average: "rloo", LogMeanExp: "vimco"}
        several = objective.num_samples > 1
        found = [n for kind, n in bounds.items() if isinstance(objective, kind) and several]
        name = found[0] if found else "reinforce"
        name = "pathwise" if vae.posterior(x[:1]).has_rsample else name
        n = replicates
    estimator = ESTIMATORS[name]()
    moments = [Moments(), Moments()]
    _add(moments, posterior_gradients(vae, objective, estimator, x, n, chunk))
    source = f"{name}, {n} of K = {objective.num_samples}" if n > 1 else "enumeration"
    return Truth(moments, source)


def measure(
    vae: VAE,
    objective: Objective,
    estimator: Estimator,
    x: Tensor,
    truth: Truth,
    replicates: int,
    chunk: int,
) -> dict[str, Any]:
    """Measures an estimator: a row of the report."""
    moments = [Moments(m.mean) for m in truth.moments]
    if isinstance(estimator, Enumerate):  # exact: all replicates are one
        replicates, chunk = 4, 1
    _add(moments, posterior_gradients(vae, objective, estimator, x, replicates, chunk))
    row: dict[str, Any] = {"num_samples": objective.num_samples, "bias": estimator.bias}
    for prefix, m, t in zip(("", "encoder_"), moments, truth.moments, strict=True):
        summary = summarize(m, t)
        row |= {f"{prefix}{key}": value for key, value in summary._asdict().items()}
    return row | cost(vae, objective, estimator, x)._asdict()


def _add(
    moments: list[Moments], chunks: Iterator[tuple[Tensor, Tensor | None]], factor: float = 1.0
) -> None:
    """Takes in replicates, times a factor."""
    for parts in chunks:
        for m, g in zip(moments, parts, strict=True):
            assert g is not None
            m.add(factor * g)


def assert_defined(vae: VAE, objective: Objective, estimator: Estimator, x: Tensor) -> None:
    """Evaluates once, which also gives lazy layers their shape.

    Raises:
        NotImplementedError: If the estimator is undefined for the model or the objective.
        ValueError: Likewise, or if the latents are too many to enumerate.
    """
    if isinstance(estimator, Enumerate):
        _assert_enumerable(vae, objective, x)
    for _ in posterior_gradients(vae, objective, estimator, x[:2], 2, 2, encoder=False):
        pass


def _assert_enumerable(vae: VAE, objective: Objective, x: Tensor) -> None:
    """Refuses to enumerate latents that would not fit in memory."""
    q = vae.posterior(x[:1])
    D, C = sizes(q)
    K = 1 if isinstance(objective, Average) else objective.num_samples
    if Enumerate().supports(q) and (
        D * math.log(C) > math.log(MAX_DECODED / len(x))
        or D * K * math.log(C) > math.log(MAX_TUPLES / K / len(x))
    ):
        raise ValueError(f"{C}^{D} configurations for {len(x)} images are too many to enumerate")
