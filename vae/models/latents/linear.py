"""What most latent layers share.

One linear map of the features gives the parameters of q; the parameters of the prior are fixed or
learned.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from vae.estimators import Estimator
from vae.models.latents.base import Latent
from vae.models.networks import widen

__all__ = ["LinearLatent"]


class LinearLatent(Latent):
    """A layer of L variables, or of L variables of C categories each.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number of latent variables.
        num_categories: The number of categories of each variable.
        learned_prior: Whether the prior's parameters are trained.

    Attributes:
        shape: The shape of one sample: (L,) or (L, C).

    Raises:
        ValueError: If a number is too small.
    """

    def __init__(
        self,
        in_features: int,
        num_variables: int,
        learned_prior: bool,
        num_categories: int | None = None,
        name: str = "num_variables",
    ) -> None:
        super().__init__()
        for label, number in (("in_features", in_features), (name, num_variables)):
            if number < 1:
                raise ValueError(f"{label} must be at least 1, got {number}")
        if num_categories is not None and num_categories < 2:
            raise ValueError(f"num_categories must be at least 2, got {num_categories}")
        self.in_features, self.learned_prior = in_features, learned_prior
        self.shape = (num_variables,) + (() if num_categories is None else (num_categories,))
        self.code_features = math.prod(self.shape)

    def linear(self, parameters: int = 1) -> nn.Linear:
        """A map of the features to so many parameters of q for each entry of z."""
        return nn.Linear(self.in_features, parameters * math.prod(self.shape))

    def split(self, raw: Tensor) -> tuple[Tensor, ...]:
        """The output of :meth:`linear` as one tensor ``(B, *shape)`` for each parameter of q.

        In float32 or wider.
        """
        return widen(raw).unflatten(-1, (-1, *self.shape)).unbind(-1 - len(self.shape))

    def add_prior_parameter(self, name: str, value: float = 0.0) -> None:
        """Adds a tensor of shape ``shape``: a parameter if the prior is learned, else a buffer.

        Arguments:
            name: Its name, as an attribute of the layer and in checkpoints.
            value: What every entry starts from.
        """
        full = torch.full(self.shape, value)
        if self.learned_prior:
            self.register_parameter(name, nn.Parameter(full))
        else:
            self.register_buffer(name, full)

    def kl(
        self,
        q: Distribution,
        prior: Distribution | None = None,
        estimator: Estimator | None = None,
        num_samples: int = 1,
    ) -> Tensor:
        if (
            prior is None and estimator is None
        ):  # not expanded: its part is the same for all images
            return kl_divergence(q, self.prior())
        return super().kl(q, prior, estimator, num_samples)
