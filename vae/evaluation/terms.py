r"""What a trained model achieves: the evidence lower bound, with its two parts.

In nats an image. Every number is of the model with hard latents (``vae.hard``): relaxed samples
give no bound on its likelihood. The importance-weighted estimate is ``vae.log_likelihood``, the
exact value, of few latents, :mod:`vae.evaluation.exact`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.models.vae import VAE
from vae.seeds import fixed_noise

__all__ = [
    "Terms",
    "closed_kl",
    "elbo_terms",
    "fixed_noise",
]


class Terms(NamedTuple):
    """The evidence lower bound and its two parts, each (B,): ``elbo = -distortion - rate``.

    Attributes:
        elbo: In nats, to be maximised.
        rate: KL(q(z|x) || p(z)) in nats.
        distortion: E_q[-log p(x|z)] in nats, estimated from the samples.
        monte_carlo: Whether the rate is estimated from the same samples, for want of a closed
            form.
    """

    elbo: Tensor
    rate: Tensor
    distortion: Tensor
    monte_carlo: bool = False

    def named(self) -> dict[str, Tensor]:
        """The three numbers by their names in logs, where an estimated rate is ``rate_mc``."""
        rate = "rate_mc" if self.monte_carlo else "rate"
        return {"elbo": self.elbo, rate: self.rate, "distortion": self.distortion}


@torch.no_grad()
def elbo_terms(vae: VAE, x: Tensor, num_samples: int = 1) -> Terms:
    """The ELBO (beta = 1) of images ``(B, *image)``, with K samples for its distortion.

    Its rate is the KL in closed form or, where that does not exist, the mean of
    log q(z|x) - log p(z) over the same samples.
    """
    vae = vae.hard
    q = vae.posterior(x)
    z = q.sample(torch.Size([num_samples]))  # (K, B, *event)
    distortion = -vae.decode(z).log_prob(x).mean(0)
    exact = closed_kl(vae, q)
    rate = (q.log_prob(z) - vae.prior().log_prob(z)).mean(0) if exact is None else exact
    return Terms(-distortion - rate, rate, distortion, exact is None)


def closed_kl(vae: VAE, q: Distribution) -> Tensor | None:
    """KL(q || p) in nats, with shape (B,); None if it has no closed form."""
    try:
        return vae.kl(q)
    except NotImplementedError:
        return None
