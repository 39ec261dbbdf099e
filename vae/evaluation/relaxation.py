r"""The relaxation gap: the bound that a model was trained by, minus the ELBO of hard samples.

A Concrete latent layer is relaxed itself. An estimator such as the Gumbel-softmax relaxes the
samples of a discrete layer: the decoder is trained on points between the vertices, and evaluated at
the vertices. Either bound is one on another model's log p(x).

References:
    | The Concrete distribution (Maddison et al., 2017), section 4 (https://arxiv.org/abs/1611.00712).
    | Categorical reparameterization with Gumbel-softmax (Jang et al., 2017), section 2
    | (https://arxiv.org/abs/1611.01144).
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae.devices import double
from vae.estimators import Estimator
from vae.evaluation.best_posterior import score
from vae.evaluation.terms import closed_kl
from vae.models.bound import bound
from vae.models.vae import VAE
from vae.objectives import ELBO

__all__ = ["is_relaxed", "relaxed_elbo"]


AT_ONCE = 10
"""Samples of each image."""


def is_relaxed(vae: VAE, estimator: Estimator | None) -> bool:
    """Whether a model was trained by relaxed samples: its latents', or its estimator's."""
    return vae.hard is not vae or (estimator is not None and estimator.bias is not None)


@torch.no_grad()
def relaxed_elbo(
    vae: VAE, x: Tensor, num_samples: int = 100, estimator: Estimator | None = None
) -> Tensor:
    """The ELBO of the samples that a model was trained by, in nats, (B,) in float64.

    Arguments:
        vae: The model as it was trained.
        x: Images ``(B, *image)``.
        num_samples: About how many samples of each image, a multiple of ten.
        estimator: The one that the model was trained by, at the temperature that it has now; None
            where the latent layer itself is relaxed.
    """
    if vae.hard is not vae or estimator is None:
        return score(vae, x, vae.posterior(x), num_samples).elbo
    q = vae.posterior(x)
    objective = ELBO(AT_ONCE, analytic_kl=closed_kl(vae, q) is not None)
    repeats = -(-num_samples // AT_ONCE)
    values = [double(bound(vae, objective, estimator, x, q).bound) for _ in range(repeats)]
    return torch.stack(values).mean(0)
