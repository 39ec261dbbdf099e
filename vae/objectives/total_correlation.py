r"""The KL term in three parts, of which the total correlation is weighed.

.. math::
    \mathbb{E}_x \mathrm{KL}(q(z|x) \| p(z)) = \underbrace{I(x; z)}_{\text{index-code mutual information}}
    + \underbrace{\mathrm{KL}\big(q(z) \| \textstyle\prod_d q(z_d)\big)}_{\text{total correlation}}
    + \underbrace{\textstyle\sum_d \mathrm{KL}(q(z_d) \| p(z_d))}_{\text{dimension-wise KL}}

The aggregate posterior q(z) is a mixture over all images; a minibatch gives a biased estimate of its
logarithm, which couples its images: f of one image depends on the posteriors of the others. Only
differentiating all of that is right (:attr:`Objective.pathwise_only`), no gradient of it is certified,
and none is unbiased for the decomposition's.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.distributions.operations import describe
from vae.objectives.base import Average, Model
from vae.ranges import assert_not_negative

__all__ = ["BetaTC"]


class BetaTC(Average):
    r"""The objective of the beta-TC-VAE.

    .. math:: \mathbb{E}_q[\log p(x|z)] - \alpha \, I(x; z) - \beta \, \mathrm{TC} - \gamma \sum_d \mathrm{KL}(q(z_d) \| p(z_d))

    With all three weights 1 it is the ELBO. What is known of the decomposition without a minibatch is
    measured by ``vae evaluate --total_correlation``.

    References:
        | Isolating Sources of Disentanglement in VAEs (Chen et al., 2018), equations 2 to 4; sampling
        | of the minibatch, appendix C (https://arxiv.org/abs/1802.04942).

    Arguments:
        num_images: N, the images that are trained on.
        num_samples: K.
        beta: The weight of the total correlation; a buffer, as the next two are.
        alpha: The weight of the mutual information.
        gamma: The weight of the dimension-wise KL.
        sampling: weighted, each image of the minibatch alike (the authors' choice), or stratified,
            in which the image itself counts once in N.
    """

    pathwise_only = True
    alpha: Tensor
    beta: Tensor
    gamma: Tensor

    def __init__(
        self,
        num_images: int,
        num_samples: int = 1,
        beta: float = 6.0,
        alpha: float = 1.0,
        gamma: float = 1.0,
        sampling: Literal["weighted", "stratified"] = "weighted",
    ) -> None:
        super().__init__(num_samples)
        if num_images < 2:
            raise ValueError(f"num_images must be at least 2, got {num_images}")
        if sampling not in ("weighted", "stratified"):
            raise ValueError(f"sampling must be weighted or stratified, got {sampling!r}")
        self.num_images, self.sampling = num_images, sampling
        for name, value in {"alpha": alpha, "beta": beta, "gamma": gamma}.items():
            assert_not_negative(name, value)
            self.register_buffer(name, torch.tensor(float(value)))

    @property
    def bounds(self) -> str:
        return "no bound of log p(x): its log q(z) is a biased estimate from a minibatch"

    def check_images(self, count: int) -> None:
        if count != self.num_images:
            raise ValueError(
                f"num_images of BetaTC is {self.num_images}, and {count} images are trained on: its"
                " minibatch stands for all of them"
            )

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        own, joint, product = self._log_densities(z, q)  # (K, B) each
        return (
            model.decode(z).log_prob(x)
            - self.alpha * (own - joint)
            - self.beta * (joint - product)
            - self.gamma * (product - model.prior().log_prob(z))
        )

    def _log_densities(self, z: Tensor, q: Distribution) -> tuple[Tensor, Tensor, Tensor]:
        """log q(z|x), and the estimates of log q(z) and of the sum of log q(z_d)."""
        if not isinstance(q, Independent) or q.reinterpreted_batch_ndims != 1:
            raise NotImplementedError(
                f"BetaTC needs independent latent variables, and q(z|x) is {describe(q)}"
            )
        pairs = q.base_dist.log_prob(z.unsqueeze(2))  # (K, B, B', D): of z of b under q of b'
        log_w = self._log_weights(pairs.shape[1], pairs)[..., None]  # (B, B', 1)
        joint = (pairs.sum(-1) + log_w[..., 0]).logsumexp(-1)
        product = (pairs + log_w).logsumexp(-2).sum(-1)
        return q.log_prob(z), joint, product

    def _log_weights(self, size: int, like: Tensor) -> Tensor:
        """The logarithm of what each image of the minibatch counts for another, (B, B')."""
        N = self.num_images
        if size > N:
            raise ValueError(f"num_images of BetaTC is {N}, and a minibatch has {size}")
        if self.sampling == "weighted" or size == 1:
            return torch.full(
                (size, size), -math.log(N * size), dtype=like.dtype, device=like.device
            )
        others, own = size - 1, torch.eye(size, dtype=like.dtype, device=like.device)
        last = own.roll(1, 1)  # one of the others stands for the images that are not there
        weights = (1 - own - last) / others + own / N + last * (N - others) / (N * others)
        return weights.log()
