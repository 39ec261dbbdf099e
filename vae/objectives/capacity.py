"""Controlled capacity: a KL term that is pulled to a given number of nats."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.objectives.base import Average, Model
from vae.ranges import assert_not_negative

__all__ = ["Capacity"]


class Capacity(Average):
    r"""The reconstruction, with the KL held at a capacity that a schedule may raise.

    .. math:: \mathbb{E}_q[\log p(x|z)] - \gamma \, \big|\mathrm{KL}(q(z|x) \,\|\, p(z)) - C\big|

    The authors let C rise linearly from 0 to 25 nats (:class:`vae.LinearWarmup`, of the buffer
    ``capacity``), with :math:`\gamma = 1000`.

    References:
        | Understanding Disentangling in beta-VAE (Burgess et al., 2018), equation 8
        | (https://arxiv.org/abs/1804.03599).

    Arguments:
        num_samples: K, independent samples; the objective is the same for every K.
        capacity: C in nats. It is a buffer, so that a schedule can change it.
        gamma: The weight of the distance from C; a buffer too.
        per_image: Whether each image's KL is held at C, as the equation says; else the minibatch's
            mean, as some implementations have it.
    """

    holds_log_q = False
    capacity: Tensor
    gamma: Tensor

    def __init__(
        self,
        num_samples: int = 1,
        capacity: float = 25.0,
        gamma: float = 1000.0,
        per_image: bool = True,
    ) -> None:
        super().__init__(num_samples)
        assert_not_negative("capacity", capacity)
        assert_not_negative("gamma", gamma)
        self.per_image = per_image
        self.register_buffer("capacity", torch.tensor(float(capacity)))
        self.register_buffer("gamma", torch.tensor(float(gamma)))

    @property
    def bounds(self) -> str:
        return "no bound of log p(x)"

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        return model.decode(z).log_prob(x)

    def penalty(self, model: Model, q: Distribution) -> Tensor:
        kl = model.kl(q)  # (B,)
        found = kl if self.per_image else kl.mean().expand_as(kl)
        return self.gamma * (found - self.capacity).abs()
