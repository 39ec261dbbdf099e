"""A normalizing flow as the prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution, biject_to
from torch.types import _size

from vae.distributions.flow import Flow
from vae.distributions.kinds import kind_of
from vae.distributions.operations import describe
from vae.models.latents.base import Latent
from vae.models.prior import Posterior, Prior
from vae.models.zuko_flows import make_flow

__all__ = ["FlowPrior"]


class _Placed(TransformedDistribution):
    """A transformed distribution that knows its support; torch's own knows the transform's domain."""

    known: Any = None

    def on(self, support: Any) -> _Placed:
        self.known = support
        return self

    @property
    def support(self) -> Any:
        return self.known

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> _Placed:
        new = super().expand(batch_shape, self._get_checked_instance(_Placed, _instance))
        return new.on(self.known)


class FlowPrior(Prior):
    """Creates a standard Gaussian that a flow moves, as the prior of real latents.

    Latents in an interval (Beta, Gamma) are real ones that torch's ``biject_to`` has brought there.
    Its KL has no closed form: give the ELBO ``analytic_kl=False``. It needs zuko, the extra
    ``flows``.

    References:
        | Variational Lossy Autoencoder (Chen et al., 2017), section 3.2
        | (https://arxiv.org/abs/1611.02731).

    Arguments:
        latent: The layer, of real latents ``(D,)``.
        flow: A class of ``zuko.flows``: ``NSF`` (neural splines), ``MAF``, ``NICE``, ``UNAF``, ...
        transforms: How many follow one another.
        hidden: Widths of the hidden layers of each.
        coupling: Whether an autoregressive flow moves one half of the variables given the other: else
            each is moved given all before it, and sampling takes D passes of the network.
        options: Further arguments of the class, as ``{"bins": 16}``.

    Raises:
        ValueError: If the latents are no real vectors, or there is no such flow.
    """

    zeros: Tensor

    def __init__(
        self,
        latent: Latent,
        flow: str = "NSF",
        transforms: int = 3,
        hidden: Sequence[int] = (64, 64),
        coupling: bool = True,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        own = latent.hard.prior()
        if kind_of(own) != "real" or len(own.event_shape) != 1:
            raise ValueError(
                f"FlowPrior is over real vectors, and the prior of {type(latent).__name__} is"
                f" {describe(own)}"
            )
        (dim,) = own.event_shape
        self.moving = make_flow(flow, dim, 0, transforms, hidden, coupling, False, options)
        self.register_buffer("zeros", torch.zeros(dim), persistent=False)
        self.support: Any = own.support
        self.place = biject_to(self.support)
        origin = torch.zeros(dim, device="cpu")  # a model without memory has no values
        self.is_moved = bool((self.place(origin) != origin).any())

    def forward(self, posterior: Posterior) -> Distribution:
        flow = Flow(self.moving, self.zeros, torch.ones_like(self.zeros))
        if not self.is_moved:
            return flow
        return _Placed(flow, [self.place], validate_args=False).on(self.support)
