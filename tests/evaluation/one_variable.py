"""Models with one continuous latent variable of each family: log p(x) by quadrature in its quantiles.

The prior's quantiles turn the integral over z into one over the unit interval,
p(x) = E[p(x|z)], without a density and without coordinates: nothing that HMC is built of.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae import VAE
from vae.models.latents.beta import BetaLatent
from vae.models.latents.dirichlet import DirichletLatent
from vae.models.latents.gamma import GammaLatent
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.von_mises import VonMisesLatent
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder

SHAPE = (1, 2, 4)

QUANTILES = {
    "gaussian": (DiagonalGaussian, (1,), lambda v: torch.special.ndtri(v)[:, None]),
    "gamma": (GammaLatent, (1,), lambda v: -torch.log1p(-v)[:, None]),
    "beta": (BetaLatent, (1,), lambda v: v[:, None]),
    "dirichlet": (DirichletLatent, (1, 2), lambda v: torch.stack([v, 1 - v], -1)[:, None]),
    "von_mises": (VonMisesLatent, (1,), lambda v: (math.pi * (2 * v - 1))[:, None]),
}
"""The latent layer, its sizes, and the prior's quantiles (n,) to z (n, *event)."""


def one_variable(family: str, seed: int = 0) -> VAE:
    """A model whose posterior is narrower than the prior, and unlike the random q(z|x)."""
    latent_class, sizes, _ = QUANTILES[family]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        latent = latent_class(6, *sizes)
        decoder = MLPDecoder(latent.code_features, SHAPE, hidden=[6])
        with torch.no_grad():
            for p in decoder.parameters():
                p.mul_(3)
        return VAE(MLPEncoder(SHAPE, [6]), latent, Bernoulli(decoder)).eval()


def log_p(vae: VAE, family: str, x: Tensor, nodes: int = 5000) -> Tensor:
    """log p(x) in float64, (B,): midpoints of the unit interval."""
    x, which = x.unique(dim=0, return_inverse=True)
    v = (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes
    z = QUANTILES[family][2](v)  # (nodes, *event)
    with torch.no_grad():
        p = vae.decode(z.to(x.dtype))
        logits = p.base_dist.logits.double().flatten(1)  # (nodes, pixels)
    signs = 2 * x.double().flatten(1) - 1
    each = torch.nn.functional.logsigmoid(signs * logits[:, None]).sum(-1)  # (nodes, B)
    return (each.logsumexp(0) - math.log(nodes))[which]
