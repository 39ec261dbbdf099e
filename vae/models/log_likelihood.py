r"""The importance-weighted estimate of :math:`\log p(x)`.

.. math:: \log \frac1K \sum_k w_k, \qquad w_k = \frac{p(x|z_k)\, p(z_k)}{q(z_k|x)}, \qquad z_k \sim q(z|x)

In expectation it is a lower bound, tighter with every sample.

The samples of an image come in blocks, whose noise is seeded by (seed, number of the image, number
of the block): how many codes are decoded at a time, and which images are together in a batch,
changes the estimate by rounding only, and the first k of K samples are those of K = k.

References:
    | Importance Weighted Autoencoders (Burda et al., 2016), section 5, there with K = 5000
    | (https://arxiv.org/abs/1509.00519).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.devices import asynchronous, double, keep_freed_memory
from vae.distributions.operations import select
from vae.models.one_dnn import OneDNN
from vae.objectives import Model
from vae.seeds import draw_seed, fixed_noise, mix_seeds, reseed

__all__ = ["Weights", "log_likelihood", "log_weights"]


CHUNKS = {False: 1000, True: 2**15}
"""Decodings at a time by default, on a device that is ``asynchronous`` or not. On a CPU what the
decoder makes of a few (3 MB of 28 x 28 pixels) stays in the cache; a GPU needs enough work between
two launches."""

STARTS = (0, 10, 30, 100, 300)
"""Where the blocks of the first :data:`STRETCH` samples start: whole blocks are drawn, and these are
for few samples."""

STRETCH = 1000
"""Samples of the blocks after these, and the most of an image that are drawn at a time."""

ENCODED = 500
"""The most images that are encoded at a time; no more than codes that are decoded."""


class Weights(NamedTuple):
    """Log importance weights of some images.

    Attributes:
        images: Which of the images; all samples of some come before those of others.
        start: The number of the first sample.
        log_weight: log w in nats, with shape (k, b).
    """

    images: slice
    start: int
    log_weight: Tensor


@torch.no_grad()
def log_likelihood(
    model: Model,
    x: Tensor,
    num_samples: int = 5000,
    chunk: int | None = None,
    seed: int | None = None,
    first: int = 0,
) -> Tensor:
    """The estimate of log p(x) in nats, with shape (B,).

    Arguments:
        model: The model, with hard latents.
        x: Images ``(B, *image)``.
        num_samples: K, the samples of each image.
        chunk: Decodings (images times samples) at a time; by default :data:`CHUNKS`. Memory grows
            with it, and neither with K nor with the number of images.
        seed: The seed of the samples; by default it is drawn from torch's global generator.
        first: The number of the first image, where they are a part of more.

    Raises:
        ValueError: If ``num_samples`` or ``chunk`` is less than 1.
    """
    total = double(x.new_full((len(x),), -math.inf))
    for images, _, log_weight in log_weights(model, x, num_samples, chunk, seed, first):
        total[images] = torch.logaddexp(total[images], double(log_weight).logsumexp(0))
    return (total - math.log(num_samples)).to(x)


@torch.no_grad()
def log_weights(
    model: Model,
    x: Tensor,
    num_samples: int,
    chunk: int | None = None,
    seed: int | None = None,
    first: int = 0,
) -> Iterator[Weights]:
    """The log-weights of K samples of each image, some at a time; see :func:`log_likelihood`."""
    chunk = CHUNKS[asynchronous(x.device)] if chunk is None else chunk
    if num_samples < 1 or chunk < 1:
        raise ValueError(
            f"num_samples and chunk must be at least 1, got {num_samples} and {chunk}"
        )
    seed = draw_seed() if seed is None else seed
    if x.device.type == "cpu":
        keep_freed_memory()
    encoded = min(chunk, ENCODED)
    width = max(1, chunk // min(num_samples, STRETCH))  # images at a time
    for begun in range(0, len(x), encoded):
        few = x[begun : begun + encoded]
        q = model.posterior(few)
        for at in range(0, len(few), width):
            numbers = range(at, min(at + width, len(few)))
            each = [_select(model, q, few, slice(i, i + 1)) for i in numbers]
            seeds = [mix_seeds(seed, first + begun + i) for i in numbers]
            some = slice(numbers.start, numbers.stop)
            of_some = _select(model, q, few, some)
            images = slice(begun + some.start, begun + some.stop)
            for start in range(0, num_samples, STRETCH):
                stretch = range(start, min(start + STRETCH, num_samples))
                drawn = _draw(each, seeds, stretch, x.device)  # (k, b, *event)
                for z in drawn.split(max(1, chunk // len(numbers))):
                    with OneDNN():
                        log_joint = model.decode(z).log_prob(few[some])
                    log_joint = log_joint + model.prior().log_prob(z)
                    yield Weights(images, start, log_joint - of_some.log_prob(z))
                    start += len(z)


def _select(model: Model, q: Distribution, x: Tensor, some: slice) -> Distribution:
    """q(z|x) of some of the images that ``q`` is of."""
    try:
        return select(q, some)
    except NotImplementedError:
        return model.posterior(x[some])


def _draw(
    each: list[Distribution], seeds: list[int], samples: range, device: torch.device
) -> Tensor:
    """Samples with these numbers of each image, with shape (k, b, *event)."""
    starts = (samples.start,) if samples.start else STARTS
    stops = [*starts[1:], samples.start + STRETCH]
    blocks = [(a, b) for a, b in zip(starts, stops, strict=True) if a < samples.stop]
    drawn = []
    with fixed_noise(device, 0):
        for q, seed in zip(each, seeds, strict=True):
            for start, stop in blocks:
                reseed(device, mix_seeds(seed, start))
                drawn.append(q.sample(Size([stop - start]))[: samples.stop - start])
    of_images = [drawn[i : i + len(blocks)] for i in range(0, len(drawn), len(blocks))]
    return torch.cat([torch.cat(blocks) for blocks in of_images], 1)
