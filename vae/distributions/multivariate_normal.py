r"""The Gaussian with a full covariance, by its Cholesky factor, for many samples of each.

.. math:: z = \mu + L \epsilon, \qquad \log q(z) = -\tfrac12 |L^{-1}(z - \mu)|^2 - \sum_d \log L_{dd} - \tfrac D2 \log 2\pi

The samples of one distribution are the columns of one matrix, so that L is neither copied nor
factored for each. Against independent Gaussians the divergence needs no inverse at all: it is that
of the diagonal, plus half the squares below it,

.. math:: \mathrm{KL} = \sum_d \mathrm{KL}\big(\mathcal{N}(\mu_d, L_{dd}^2) \,\|\, \mathcal{N}(m_d, s_d^2)\big)
    + \tfrac12 \sum_{e < d} L_{de}^2 / s_d^2
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, kl_divergence
from torch.distributions import MultivariateNormal as TorchMultivariateNormal
from torch.distributions import Normal as TorchNormal
from torch.distributions.kl import register_kl
from torch.types import _size

from vae.distributions.normal import Normal
from vae.distributions.special import HALF_LOG_2PI

__all__ = ["MultivariateNormal"]


class MultivariateNormal(TorchMultivariateNormal):
    """Creates a Gaussian with a full covariance. Arguments as for torch's."""

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        shape = self._extended_shape(Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        with torch.autocast(noise.device.type, enabled=False):
            factor = self.scale_tril.tril()  # no derivative in the zeros above the diagonal
            return self.loc + _rows(factor @ self._columns(noise), shape)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        difference = value - self.loc
        columns = self._columns(difference)
        noise = torch.linalg.solve_triangular(self.scale_tril, columns, upper=False)
        squares = _rows(noise, difference.shape).square().sum(-1)
        log_det = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -squares / 2 - log_det - difference.shape[-1] * HALF_LOG_2PI

    def _columns(self, value: Tensor) -> Tensor:
        """Vectors ``(*sample, *batch, D)`` to ``(*batch, D, S)``."""
        batch = len(self.batch_shape)
        return (
            value.flatten(0, value.dim() - batch - 2).movedim(0, -1)
            if (value.dim() > batch + 1)
            else value.unsqueeze(-1)
        )


def _rows(columns: Tensor, shape: Size) -> Tensor:
    return columns.movedim(-1, 0).reshape(shape)


@register_kl(TorchMultivariateNormal, Independent)
def _kl_of_independent(p: TorchMultivariateNormal, q: Independent) -> Tensor:
    base: Distribution = q.base_dist
    if not isinstance(base, TorchNormal) or q.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    factor = p.scale_tril
    diagonal = Normal(p.loc, factor.diagonal(dim1=-2, dim2=-1), validate_args=False)
    below = factor.tril(-1) / base.scale.unsqueeze(-1)
    return kl_divergence(diagonal, base).sum(-1) + below.square().sum((-2, -1)) / 2
