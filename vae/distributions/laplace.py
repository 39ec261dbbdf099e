r"""The Laplace distribution, with a divergence that keeps its digits.

.. math:: \mathrm{KL}(p \| q) = r - 1 - \log r + r (u - 1 + e^{-u}), \qquad
    r = b_p / b_q, \quad u = |\mu_p - \mu_q| / b_p

Both terms are quadratic near p = q, where torch's sum of four numbers cancels.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Laplace as TorchLaplace
from torch.distributions.kl import register_kl
from torch.types import _size

from vae.distributions.special import excess, polynomial

__all__ = ["Laplace"]


class Laplace(TorchLaplace):
    """Creates a Laplace distribution. Arguments as for torch's.

    A draw is the difference of two exponential variables, so that none is infinite."""

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        shape = Size([2]) + self._extended_shape(Size(sample_shape))
        noise = torch.empty(shape, dtype=self.loc.dtype, device=self.loc.device).exponential_()
        return self.loc + self.scale * (noise[0] - noise[1])

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return -((value - self.loc) / self.scale).abs() - (2 * self.scale).log()


_SERIES = [1 / 2, -1 / 6, 1 / 24, -1 / 120, 1 / 720, -1 / 5040, 1 / 40320]
"""Of u^2, u^3, ... in u - 1 + e^-u."""


@register_kl(TorchLaplace, TorchLaplace)
def _kl_laplace(p: TorchLaplace, q: TorchLaplace) -> Tensor:
    relative = (p.scale - q.scale) / q.scale
    scales = excess(relative, p.scale.log() - q.scale.log())
    distance = (p.loc - q.loc).abs()
    u = distance / p.scale
    near = u < 0.3
    small, large = torch.where(near, u, 0), torch.where(near, 1, u)
    close = (p.scale / q.scale) * small.square() * polynomial(small, _SERIES)
    far = distance / q.scale + (p.scale / q.scale) * torch.expm1(-large)
    return scales + torch.where(near, close, far)
