"""The VampPrior: a mixture of the posteriors of some images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from vae.models.latents.base import Latent
from vae.models.latents.quantised import QuantisedLatent
from vae.models.prior import Posterior, Prior
from vae.ranges import assert_at_least_one

__all__ = ["VampPrior"]


LEAST = 0.01
"""Pixels of training images are brought this far inside the unit interval, to be logits."""


class VampPrior(Prior):
    r"""Creates a uniform mixture of the posteriors of M images, the pseudo-inputs, which are learned.

    .. math:: p(z) = \frac1M \sum_{m=1}^M q(z|u_m), \qquad u_m \in [0, 1]^{\text{pixels}}

    Pseudo-inputs are the sigmoid of free parameters (the authors': a linear map, cut off at 0 and 1).
    Each ``prior()`` encodes them anew, in one batch. Its KL has no closed form: give the ELBO
    ``analytic_kl=False``.

    References:
        | VAE with a VampPrior (Tomczak & Welling, 2018), equations 9 and 10
        | (https://arxiv.org/abs/1705.07120).

    Arguments:
        latent: The layer, of any family whose samples have a density.
        num_components: M; the authors have 500 on MNIST.
        start: What pseudo-inputs start from: ``random`` images of mean 0.12 or so, as MNIST's, or
            ``data``, the first M training images.
        learned: Whether they are trained. If not, they are the training images that they start from:
            the authors' "VampPrior data".

    Raises:
        ValueError: If there is no component, or random images are to stay as they are, or
            the posteriors are point masses.
    """

    pixels: Tensor
    started: Tensor
    weights: Tensor

    def __init__(
        self,
        latent: Latent,
        num_components: int = 500,
        start: Literal["random", "data"] = "random",
        learned: bool = True,
    ) -> None:
        super().__init__()
        assert_at_least_one("num_components", num_components)
        if start not in ("random", "data"):
            raise ValueError(f"start must be random or data, got {start!r}")
        if not learned and start == "random":
            raise ValueError("pseudo-inputs that are not learned start from data: start=data")
        if isinstance(latent, QuantisedLatent):
            raise ValueError(
                f"VampPrior needs posteriors with a density, and those of {type(latent).__name__} are"
                " point masses: use MixturePrior or AutoregressivePrior"
            )
        self.num_components, self.start, self.learned = num_components, start, learned
        self.register_buffer("started", torch.tensor(start == "random"))
        self.register_buffer("weights", torch.zeros(num_components), persistent=False)

    def build(self, image_shape: Sequence[int]) -> None:
        if hasattr(self, "pixels"):  # the model with hard latents shares them
            return
        pixels = torch.randn(self.num_components, *image_shape) - 2
        self.pixels = nn.Parameter(pixels, requires_grad=self.learned)

    def needed_images(self) -> int:
        return 0 if bool(self.started) else self.num_components

    @torch.no_grad()
    def start_from(self, images: Tensor) -> None:
        if len(images) < self.num_components:
            raise ValueError(
                f"VampPrior has {self.num_components} pseudo-inputs to start from training images, and"
                f" there are {len(images)} of these: num_components"
            )
        start = images[: self.num_components].to(self.pixels)
        self.pixels.copy_(start.clamp(LEAST, 1 - LEAST).logit())
        self.started.fill_(True)

    def pseudo_inputs(self) -> Tensor:
        """The M images, ``(M, *image)``."""
        return self.pixels.sigmoid()

    def forward(self, posterior: Posterior) -> Distribution:
        weights = Categorical(logits=self.weights, validate_args=False)
        return MixtureSameFamily(weights, posterior(self.pseudo_inputs()), validate_args=False)
