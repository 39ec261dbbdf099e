r"""The normal distribution at every scale that single precision holds.

torch squares the scale, which over- or underflows from a log-scale of 44 on: the density is
infinite or NaN there, and so is the divergence.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Normal as TorchNormal
from torch.distributions.kl import register_kl
from torch.types import _size

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


@register_kl(TorchNormal, TorchNormal)
def _kl_normal(p: TorchNormal, q: TorchNormal) -> Tensor:
    relative = (p.scale - q.scale) / q.scale
    d = relative * (p.scale / q.scale + 1)  # the ratio of the variances, less 1
    variances = excess(torch.ones_like(d), d, 2 * (p.scale.log() - q.scale.log()))
    return variances / 2 + ((p.loc - q.loc) / q.scale).square() / 2
