r""":math:`\log p(x)` itself, by a sum over all latents, where they are few enough.

.. math:: \log p(x) = \log \sum_z p(x|z)\, p(z)

L variables of C categories have :math:`C^L` configurations. Each is decoded once, for all images of
a batch together; they are listed in blocks, so that memory does not grow with their number.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.devices import asynchronous, double
from vae.distributions.operations import MAX_SUPPORT, configurations, support
from vae.evaluation.pairwise import log_probs
from vae.models.log_likelihood import CHUNKS
from vae.models.vae import VAE

__all__ = ["enumerable", "exact_log_likelihood"]


def enumerable(vae: VAE, x: Tensor, most: int = MAX_SUPPORT) -> Distribution:
    """A distribution, with batch shape (1,), whose support is that of the latents.

    It is the prior, or the posterior of the first image, where the prior's cannot be listed (a
    mixture's).

    Arguments:
        vae: The model, with hard latents.
        x: Images ``(B, *image)``.
        most: The most configurations.

    Raises:
        NotImplementedError: If the latents cannot be enumerated.
        ValueError: If there are more configurations than ``most``.
    """
    prior = vae.prior()
    try:
        size, found = configurations(prior), prior.expand(torch.Size([1]))
    except NotImplementedError:
        found = vae.posterior(x[:1])
        size = configurations(found)
    if size > most:
        raise ValueError(f"the latents have {size:,} configurations: at most {most:,} are summed")
    return found


@torch.no_grad()
def exact_log_likelihood(
    vae: VAE, x: Tensor, chunk: int | None = None, most: int = MAX_SUPPORT
) -> Tensor:
    """The exact log p(x) in nats, with shape (B,), by a sum over all latent configurations.

    Arguments:
        vae: The model.
        x: Images ``(B, *image)``.
        chunk: Configurations that are decoded together; by default what suits the device. Memory
            grows with it, and with the number of images.
        most: The most configurations.

    Raises:
        NotImplementedError: If the latents cannot be enumerated.
        ValueError: If there are more configurations than ``most``.
    """
    vae = vae.hard
    listed, prior = enumerable(vae, x, most), vae.prior()
    size = configurations(listed)
    chunk = CHUNKS[asynchronous(x.device)] if chunk is None else chunk
    total = double(x.new_full((len(x),), -torch.inf))
    for first in range(0, size, chunk):
        z = support(listed, first, min(first + chunk, size)).squeeze(1)  # (S, *event)
        log_joint = log_probs(vae.decode(z), x) + double(prior.log_prob(z))[:, None]  # (S, B)
        total = torch.logaddexp(total, log_joint.logsumexp(0))
    return total.to(x)
