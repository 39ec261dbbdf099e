r"""The importance-weighted bound on :math:`\log p(x)`, and whether to trust it.

.. math:: \log \frac1K \sum_k w_k, \qquad w_k = \frac{p(x|z_k)\, p(z_k)}{q(z_k|x)}, \qquad z_k \sim q(z|x)

It is a lower bound in expectation, and near :math:`\log p(x)` only if many of the K weights count.
The same samples tell whether they do: by their effective number
:math:`(\sum_k w_k)^2 / \sum_k w_k^2`, by the largest one's share of their sum, and by the tail of
their distribution (:mod:`vae.evaluation.pareto`).

References:
    | Importance Weighted Autoencoders (Burda et al., 2016), section 5
    | (https://arxiv.org/abs/1509.00519).
    | A Note on Importance Sampling Using Standardized Weights (Kong, 1992): the effective number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae.devices import double
from vae.evaluation.pareto import largest_k, pareto_k, tail_length
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.models.log_likelihood import log_weights
from vae.models.memory import DECODINGS
from vae.models.vae import VAE

__all__ = ["Estimate", "ImportanceWeighted", "importance_weighted"]


LEAST = 100
"""The fewest samples whose tail, 20 of them, is looked at."""

SHARE = 0.05
"""A bound is not to be trusted where the weights of more than this share of the images say so."""


class Estimate(NamedTuple):
    """The bound of K samples with its diagnosis, each (B,) in float64.

    Attributes:
        log_likelihood: The bound on log p(x), in nats.
        ess: The effective number of samples, from 1 to K.
        max_weight: The largest weight's share of the sum.
        pareto_k: The shape of the weights' tail; NaN if there are too few samples to tell.
    """

    log_likelihood: Tensor
    ess: Tensor
    max_weight: Tensor
    pareto_k: Tensor


class _Tally:
    """What is kept of the first K weights of B images: O(B sqrt(K)) numbers."""

    def __init__(self, num_samples: int, x: Tensor) -> None:
        self.num_samples = num_samples
        tail = tail_length(num_samples) if num_samples >= LEAST else 0
        self.total, self.squares = double(x.new_full((2, len(x)), -math.inf))
        self.largest = self.total.expand(tail + 1, -1).clone()

    def add(self, images: slice, log_weight: Tensor) -> None:
        log_weight = double(log_weight)
        for kept, power in ((self.total, 1), (self.squares, 2)):
            kept[images] = torch.logaddexp(kept[images], (power * log_weight).logsumexp(0))
        together = torch.cat([self.largest[:, images], log_weight])
        self.largest[:, images] = together.topk(len(self.largest), 0).values

    def estimate(self) -> Estimate:
        tail = self.largest
        k = pareto_k(tail) if len(tail) > 1 else torch.full_like(self.total, math.nan)
        return Estimate(
            self.total - math.log(self.num_samples),
            (2 * self.total - self.squares).exp(),
            (tail[0] - self.total).exp(),
            k,
        )


@torch.no_grad()
def importance_weighted(
    vae: VAE,
    x: Tensor,
    samples: Sequence[int],
    seed: int,
    first: int = 0,
    chunk: int | None = None,
) -> dict[int, Estimate]:
    """The bounds of several K, with their diagnosis, by K.

    The first K of the most samples serve each K: the bounds differ by what more samples add.

    Arguments:
        vae: The model; its hard latents are used.
        x: Images ``(B, *image)``.
        samples: Numbers of samples K of each image.
        seed: The seed of the samples.
        first: The number of the first image, where they are a part of more.
        chunk: Decodings at a time, which changes the estimates by rounding only.

    Raises:
        ValueError: If a K is less than 1.
    """
    tallies = [_Tally(K, x) for K in sorted(set(samples))]
    weights = log_weights(vae.hard, x, max(samples), chunk, seed, first)
    for images, start, log_weight in weights:
        for tally in tallies:
            if start < tally.num_samples:
                tally.add(images, log_weight[: tally.num_samples - start])
    return {tally.num_samples: tally.estimate() for tally in tallies}


class ImportanceWeighted(Part):
    """The importance-weighted bound on log p(x), with the effective number of its samples.

    Arguments:
        samples: K of the bound, one or several; the first K of the most samples serve each.

    Raises:
        ValueError: If a K is less than 1.
    """

    name = "log_likelihood"
    title = "log p(x) from below, by K samples of q(z|x) for each image"
    values = "samples"
    of_log_p = True
    batch = 100  # what is lost at most when an evaluation is cut short

    def __init__(self, samples: list[int] | int = 5000) -> None:
        self.samples = [samples] if isinstance(samples, int) else samples
        if not self.samples or min(self.samples) < 1:
            raise ValueError(f"log_likelihood: samples must be at least 1, got {samples}")

    def why_not(self, subject: Subject) -> str | None:
        counts = (subject.data.count(subject.split), subject.limit, self.images)
        images, K = min([n for n in counts if n is not None], default=1), max(self.samples)
        if images * K <= DECODINGS:
            return None
        return (
            f"of {images} images with K = {K} it would take weeks: give at most"
            f" K = {DECODINGS // images}, or a limit"
        )

    def seconds(self, subject: Subject) -> float | None:
        loader = subject.data.loader(subject.split, device=subject.device, batch_size=20, limit=20)
        x, K = next(iter(loader)), min(max(self.samples), 20)
        took = 0.0
        for _ in range(2):  # the first one warms up
            started = time.perf_counter()
            subject.vae.log_likelihood(x, K, seed=subject.seed).sum().item()  # waits
            took = time.perf_counter() - started
        return took / len(x) * max(self.samples) / K

    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        found = importance_weighted(subject.vae, x, self.samples, subject.seed, first)
        return {
            f"{name}_{K}": value
            for K, each in found.items()
            for name, value in each._asdict().items()
        }

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        return [
            _number(K, Estimate(*[values[f"{name}_{K}"] for name in Estimate._fields]))
            for K in sorted(set(self.samples))
        ]

    def log_likelihoods(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        K = max(self.samples)
        return {f"log_likelihood_{K}": values[f"log_likelihood_{K}"]}


def _number(K: int, found: Estimate) -> Number:
    """The mean bound over images, with the diagnosis of its samples."""
    N = len(found.ess)
    labels: dict[str, Any] = {"K": K}
    if K == 1:  # the ELBO, which claims to be no more
        return mean_of(
            "log_likelihood_1", found.log_likelihood, bound="lower bound", labels=labels
        )
    # The delta method: the variance of the log of a mean is that of the mean over its square,
    # 1 / ESS - 1 / K. Too small where few weights count, as it is estimated by those.
    variance = (1 / found.ess - 1 / K).clamp_min(0)
    labels |= {
        "se_z": variance.sum().sqrt().item() / N,
        "ess": found.ess.mean().item(),
        "max_weight_over_half": _share(found.max_weight > 0.5),
    }
    suspect = {"the largest weight exceeds one half": labels["max_weight_over_half"]}
    if K >= LEAST:
        limit = round(largest_k(K), 2)
        labels[f"pareto_k_over_{limit}"] = _share(found.pareto_k > limit)
        suspect[f"Pareto k exceeds {limit}"] = labels[f"pareto_k_over_{limit}"]
    else:
        labels["pareto_k"] = f"needs K >= {LEAST}"
    return mean_of(
        f"log_likelihood_{K}",
        found.log_likelihood,
        bound="lower bound",
        labels=labels,
        warning=_warning(suspect),
    )


def _share(which: Tensor) -> float:
    return which.double().mean().item()


def _warning(suspect: Mapping[str, float]) -> str:
    said = [f"{what} for {share:.0%}" for what, share in suspect.items() if share > SHARE]
    if not said:
        return ""
    return (
        f"log p(x) may lie far above: {', '.join(said)} of the images"
        f" (trusted where it is {SHARE:.0%} at most)"
    )
