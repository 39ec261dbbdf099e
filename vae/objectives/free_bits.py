"""Free bits: a KL term that costs nothing below a floor, so that no variable need collapse."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.objectives.base import Average, Model
from vae.ranges import assert_not_negative

__all__ = ["FreeBits"]


class FreeBits(Average):
    r"""The ELBO with a floor under the KL of each latent variable.

    .. math:: \mathbb{E}_q[\log p(x|z)] - \sum_d \max\big(\lambda, \mathbb{E}_{x \sim M}[\mathrm{KL}(q(z_d|x) \,\|\, p(z_d))]\big)

    with M the minibatch, as in the paper, whose :math:`\lambda` is the same for each group of
    variables; here a group is one variable. The KL is in closed form: of variables that are
    independent in q and in the prior. It is never above the ELBO, so that it bounds log p(x) too
    (with the minibatch's mean: in the mean over its images).

    References:
        | Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
        | appendix C.8, equation 15 (https://arxiv.org/abs/1606.04934).

    Arguments:
        num_samples: K, independent samples; the objective is the same for every K.
        free_nats: The floor :math:`\lambda` of each variable, in nats. It is a buffer, so that a
            schedule can change it.
        per_image: Whether the floor is under each image's KL, not under the minibatch's mean.
    """

    holds_log_q = False
    free_nats: Tensor

    def __init__(
        self, num_samples: int = 1, free_nats: float = 0.5, per_image: bool = False
    ) -> None:
        super().__init__(num_samples)
        assert_not_negative("free_nats", free_nats)
        self.per_image = per_image
        self.register_buffer("free_nats", torch.tensor(float(free_nats)))

    @property
    def bounds(self) -> str:
        return "a lower bound of log p(x)"

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        return model.decode(z).log_prob(x)

    def penalty(self, model: Model, q: Distribution) -> Tensor:
        kl = model.kl_per_variable(q)  # (B, D)
        mean = kl if self.per_image else kl.mean(0, keepdim=True)
        return torch.maximum(mean, self.free_nats).sum(-1).expand(kl.shape[0])
