r"""The importance-weighted estimate of :math:`\log p(x)`.

.. math:: \log \frac1K \sum_k \frac{p(x|z_k)\, p(z_k)}{q(z_k|x)}, \qquad z_k \sim q(z|x)

In expectation it is a lower bound, tighter with every sample.

References:
    | Importance Weighted Autoencoders (Burda et al., 2016), section 5, there with K = 5000
    | (https://arxiv.org/abs/1509.00519).
"""

from __future__ import annotations

import math

import torch
from torch import Size, Tensor

from vae.devices import asynchronous, double, keep_freed_memory
from vae.objectives import Model

__all__ = ["log_likelihood"]


CHUNKS = {False: 2000, True: 2**15}
"""Decodings at a time by default, on a device that is ``asynchronous`` or not. On a CPU what the
decoder makes of a few (6 MB of 28 x 28 pixels) stays in the cache; a GPU needs enough work between
two launches."""


@torch.no_grad()
def log_likelihood(
    model: Model, x: Tensor, num_samples: int = 5000, chunk: int | None = None
) -> Tensor:
    """The estimate of log p(x) in nats, with shape (B,).

    Arguments:
        model: The model, with hard latents.
        x: Images ``(B, *image)``.
        num_samples: K, the samples of each image.
        chunk: Decodings (images times samples) at a time; by default :data:`CHUNKS`. Memory grows
            with it, and neither with K nor with the number of images.

    Raises:
        ValueError: If ``num_samples`` or ``chunk`` is less than 1.
    """
    chunk = CHUNKS[asynchronous(x.device)] if chunk is None else chunk
    if num_samples < 1 or chunk < 1:
        raise ValueError(
            f"num_samples and chunk must be at least 1, got {num_samples} and {chunk}"
        )
    if x.device.type == "cpu":
        keep_freed_memory()
    return torch.cat([_of_some(model, part, num_samples, chunk) for part in x.split(chunk)])


def _of_some(model: Model, x: Tensor, num_samples: int, chunk: int) -> Tensor:
    q, prior = model.posterior(x), model.prior()
    total = double(x.new_full((len(x),), -math.inf))
    at_once = chunk // max(len(x), 1)  # at least 1
    for start in range(0, num_samples, at_once):
        z = q.sample(Size([min(at_once, num_samples - start)]))  # (k, B, *event)
        log_weight = model.decode(z).log_prob(x) + prior.log_prob(z) - q.log_prob(z)
        total = torch.logaddexp(total, double(log_weight).logsumexp(0))
    return (total - math.log(num_samples)).to(x)
