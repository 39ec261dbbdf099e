r"""The normal distribution at every scale that single precision holds.

torch squares the scale, which over- or underflows from a log-scale of 44 on: the density is
infinite or NaN there, and so is the divergence.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Normal as TorchNormal
from torch.distributions.kl import register_kl
from torch.types import _size

from vae.distributions.own_derivative import OwnDerivative
from vae.distributions.special import HALF_LOG_2PI, excess

__all__ = ["Normal"]


class Normal(TorchNormal):
    """Creates a normal distribution. Arguments as for torch's.

    The draws are torch's, without ``torch.normal``: it looks at the scale, for which the host waits
    in older versions of torch, and which a CUDA graph cannot hold."""

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return -((value - self.loc) / self.scale).square() / 2 - self.scale.log() - HALF_LOG_2PI


def _divergence(loc: Tensor, scale: Tensor, other_loc: Tensor, other_scale: Tensor) -> Tensor:
    relative = (scale - other_scale) / other_scale
    d = relative * (scale / other_scale + 1)  # the ratio of the variances, less 1
    variances = excess(d, 2 * (scale.log() - other_scale.log()))
    return variances / 2 + ((loc - other_loc) / other_scale).square() / 2


class _Divergence(OwnDerivative):
    """KL(p || q) of p's location and scale, and q's, without autograd's way through the series."""

    @staticmethod
    def forward(loc: Tensor, scale: Tensor, other_loc: Tensor, other_scale: Tensor) -> Tensor:
        return _divergence(loc, scale, other_loc, other_scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        loc, scale, other_loc, other_scale = inputs = ctx.saved_tensors
        shift = (loc - other_loc) / other_scale
        below, above = (scale - other_scale) / other_scale, scale / other_scale + 1
        in_loc, in_scale = shift / other_scale, below * (above / scale)
        slopes = [in_loc, in_scale, None, None]
        if ctx.needs_input_grad[2]:
            slopes[2] = -in_loc
        if ctx.needs_input_grad[3]:
            slopes[3] = -(below * above + shift.square()) / other_scale
        return tuple(
            (grad * slope).sum_to_size(x.shape) if needed else None
            for needed, slope, x in zip(ctx.needs_input_grad, slopes, inputs, strict=True)
        )


@register_kl(TorchNormal, TorchNormal)
def _kl_normal(p: TorchNormal, q: TorchNormal) -> Tensor:
    if torch.compiler.is_compiling():  # fuses the plain formula itself
        return _divergence(p.loc, p.scale, q.loc, q.scale)
    return _Divergence.apply(p.loc, p.scale, q.loc, q.scale)  # type: ignore[no-any-return, no-untyped-call]
