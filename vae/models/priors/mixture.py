"""A mixture prior, of the family of the latent layer's own prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    MixtureSameFamily,
    biject_to,
)

from vae.distributions.operations import base_of, describe, detach, parameters, rebuild
from vae.models.latents.base import Latent
from vae.models.prior import Posterior, Prior
from vae.ranges import assert_at_least_one, assert_positive

__all__ = ["MixturePrior"]


class MixturePrior(Prior):
    r"""Creates a mixture of M components of the latents' own family, with learned parameters.

    .. math:: p(z) = \sum_{m=1}^M \pi_m\, p(z; \theta_m)

    Of Gaussian latents it is a mixture of Gaussians (with diagonal covariances), of one-hot ones a
    mixture of products. Each component starts from the parameters of the layer's own prior, moved at
    random in unconstrained coordinates. Its KL has no closed form: give the ELBO
    ``analytic_kl=False``.

    References:
        | VAE with a VampPrior (Tomczak & Welling, 2018), section 3: "mixture of Gaussians"
        | (https://arxiv.org/abs/1705.07120).

    Arguments:
        latent: The layer, whose own prior says what the components are.
        num_components: M.
        spread: The standard deviation of the components' starting points around the prior's.

    Raises:
        ValueError: If there is no component, the spread is not positive, or the layer's prior has no
            parameters.
    """

    logits: Tensor

    def __init__(self, latent: Latent, num_components: int = 10, spread: float = 1.0) -> None:
        super().__init__()
        assert_at_least_one("num_components", num_components)
        assert_positive("spread", spread)
        own = latent.hard.prior()
        values = parameters(own)
        if not values or not base_of(own).arg_constraints.keys() >= values.keys():
            raise ValueError(
                "MixturePrior has components of the family of the latents' own prior, and that of"
                f" {type(latent).__name__} is {describe(own)}, which has no parameters of that kind"
            )
        self.own, self.domains = detach(own), {}
        self.free = nn.ParameterDict()
        for name, value in values.items():
            self.domains[name] = base_of(own).arg_constraints[name]
            start = biject_to(self.domains[name]).inv(value.detach().clone())
            noise = spread * torch.randn(num_components, *start.shape, dtype=start.dtype)
            self.free[name] = nn.Parameter(start + noise)
        self.logits = nn.Parameter(torch.zeros(num_components))

    def forward(self, posterior: Posterior) -> Distribution:
        values = {name: biject_to(self.domains[name])(raw) for name, raw in self.free.items()}
        components = rebuild(self.own, **values)
        weights = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(weights, components, validate_args=False)
