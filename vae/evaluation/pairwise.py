r""":math:`\log p(x|z)` of every latent and every image, for sums over latents that all images share.

A latent is decoded once. What is left is a number for each pair, of hundreds of pixels: where the
pixels are independent and binary, it is :math:`\log p(0|z) + x \cdot (\log p(1|z) - \log p(0|z))`, a
product of matrices, and so it is for Gaussian pixels (:mod:`vae.evaluation.densities`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.devices import double
from vae.distributions.operations import base_of
from vae.evaluation.densities import log_densities

__all__ = ["log_probs"]


@torch.no_grad()
def log_probs(p: Distribution, x: Tensor) -> Tensor:
    """log p(x|z) in nats, float64, with shape (S, B).

    Arguments:
        p: p(x|z) of S latents, with batch shape (S,).
        x: Images ``(B, *image)``.
    """
    base = base_of(p)
    if _pixels_of_their_own(p, base):
        if bool(((x == 0) | (x == 1)).all()):
            found = _binary(base, x)
            if bool(found.isfinite().all()):  # else a pixel is impossible: 0 * inf
                return found
    return log_densities(p)(x).T


def _pixels_of_their_own(p: Distribution, base: Distribution) -> bool:
    return isinstance(p, Independent) and not base.event_shape and len(p.batch_shape) == 1


def _flat(x: Tensor, first: int) -> Tensor:
    """float64, flat after the first dimension, of so many rows."""
    return double(x.expand(first, *x.shape[1:]).flatten(1))


def _binary(base: Distribution, x: Tensor) -> Tensor:
    of_zero = base.log_prob(torch.zeros_like(x[:1]))  # (S, *image)
    slope = base.log_prob(torch.ones_like(x[:1])) - of_zero
    flat = _flat(slope, len(slope))
    return torch.addmm(double(of_zero).flatten(1).sum(1)[:, None], flat, _flat(x, len(x)).T)
