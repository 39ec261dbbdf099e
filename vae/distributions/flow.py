r"""Normalizing flows: a Gaussian, moved by an invertible network.

.. math:: z = T_c(u), \quad u \sim \mathcal{N}(\mu, \mathrm{diag}\,\sigma^2), \qquad
    \log q(z) = \log \mathcal{N}(u) - \log |\det \partial z / \partial u|

References:
    | Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015)
    | (https://arxiv.org/abs/1505.05770).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.func import functional_call
from torch.types import _size

from vae.distributions.operations import detach, parameters, rebuild, select

__all__ = ["Flow", "Moving"]


class Moving(nn.Module):
    """An invertible map with parameters, between latents z and the Gaussian's u.

    Arguments:
        transform: A context ``(*, H)``, or None, to a transform of zuko: a ``zuko.lazy.LazyTransform``.
        inverse: Whether it maps u to z; else z to u, as zuko's densities do.
    """

    def __init__(self, transform: nn.Module, inverse: bool = False) -> None:
        super().__init__()
        self.transform, self.inverse = transform, inverse

    def forward(
        self, value: Tensor, context: Tensor | None, sampling: bool
    ) -> tuple[Tensor, Tensor]:
        """u to z if ``sampling``, else z to u; and the log of its derivative's determinant."""
        found = self.transform(context)
        if sampling != self.inverse:
            found = found.inv
        return found.call_and_ladj(value)  # type: ignore[no-any-return]


class Flow(Distribution):
    """Creates the distribution of a Gaussian vector that a flow has moved.

    The density of a sample of its own needs no second pass: the last is remembered.

    Arguments:
        moving: The flow.
        loc: The Gaussian's mean, ``(*batch, D)``.
        scale: Its standard deviations, ``(*batch, D)``.
        context: What the flow depends on, ``(*batch, H)``; or None.
        values: The flow's parameters by name; by default its own.
    """

    arg_constraints: dict[str, Constraint] = {}
    support = constraints.independent(constraints.real, 1)
    has_rsample = True

    def __init__(
        self,
        moving: Moving,
        loc: Tensor,
        scale: Tensor,
        context: Tensor | None = None,
        values: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.moving, self.loc, self.scale, self.context = moving, loc, scale, context
        given = moving.named_parameters() if values is None else values.items()
        self.values: dict[str, Tensor] = dict(given)
        self._last: tuple[Tensor, Tensor, bool] | None = None  # z, its density, with a gradient?
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> Flow:
        shape = Size(batch_shape)
        loc, scale = (v.expand(*shape, v.shape[-1]) for v in (self.loc, self.scale))
        context = self.context
        if context is not None:
            context = context.expand(*shape, context.shape[-1])
        return Flow(self.moving, loc, scale, context, self.values)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        noise = torch.randn(
            self._extended_shape(Size(sample_shape)), dtype=self.loc.dtype, device=self.loc.device
        )
        z, log_volume = self._move(self.loc + self.scale * noise, sampling=True)
        self._last = z, self._gaussian(noise) - log_volume, torch.is_grad_enabled()
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        if self._last is not None and self._last[0] is value:
            if self._last[2] or not torch.is_grad_enabled():
                return self._last[1]
        u, log_volume = self._move(value, sampling=False)
        return self._gaussian((u - self.loc) / self.scale) + log_volume

    def moved(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Where draws u of the Gaussian ``(*, D)`` are moved to, and their log-densities there."""
        z, log_volume = self._move(u, sampling=True)
        return z, self._gaussian((u - self.loc) / self.scale) - log_volume

    def _move(self, value: Tensor, sampling: bool) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = functional_call(
            self.moving, self.values, (value, self.context, sampling)
        )
        return found

    def _gaussian(self, noise: Tensor) -> Tensor:
        density = -0.5 * noise.square() - self.scale.log() - 0.5 * math.log(2 * math.pi)
        return density.sum(-1)


@parameters.register
def _(q: Flow) -> dict[str, Tensor]:
    found = {"loc": q.loc, "scale": q.scale}
    return found if q.context is None else found | {"context": q.context}


@rebuild.register
def _(q: Flow, **changes: Tensor) -> Flow:
    return Flow(q.moving, **(parameters(q) | changes), values=q.values)


@detach.register
def _(q: Flow) -> Flow:
    fixed = {name: value.detach() for name, value in parameters(q).items()}
    values = {name: value.detach() for name, value in q.values.items()}
    return Flow(q.moving, **fixed, values=values)


@select.register
def _(q: Flow, some: slice) -> Flow:
    context = None if q.context is None else q.context[some]
    return Flow(q.moving, q.loc[some], q.scale[some], context, q.values)
