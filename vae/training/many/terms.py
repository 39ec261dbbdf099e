"""What one of many models is evaluated by, diverged or not."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae.distributions.operations import parameters
from vae.evaluation import terms as evaluation
from vae.training.module import VAEModule

__all__ = ["terms_of"]


def terms_of(member: VAEModule, x: Tensor, seed: int, test: bool) -> dict[str, Tensor]:
    """What one model has of each image, (B,); NaN if it diverged."""
    K, values = member.test_samples, {}
    try:
        with evaluation.fixed_noise(x.device, seed):
            values = evaluation.elbo_terms(member.vae, x).named()
            if test and K:
                values[f"log_likelihood_{K}"] = member.vae.log_likelihood(x, K)
    except RuntimeError:  # how torch refuses to draw from a distribution with NaN in it
        q = member.vae.hard.posterior(x)
        if all(p.isfinite().all() for p in parameters(q).values()):
            raise
        nan = torch.full((len(x),), math.nan, device=x.device)
        estimated = evaluation.closed_kl(member.vae.hard, q) is None
        values = evaluation.Terms(nan, nan, nan, estimated).named()
        if test and K:
            values[f"log_likelihood_{K}"] = nan
    return values
